/* The functions of a storage backend of RIOT's sys/suit. */
#ifndef SUIT_STORAGE_H
#define SUIT_STORAGE_H

#include "suit.h"

typedef struct {
    int (*init)(suit_storage_t *);
    int (*start)(suit_storage_t *, const suit_manifest_t *, size_t);
    int (*write)(suit_storage_t *, const suit_manifest_t *, const uint8_t *, size_t, size_t);
    int (*finish)(suit_storage_t *, const suit_manifest_t *);
    int (*read)(suit_storage_t *, uint8_t *, size_t, size_t);
    int (*read_ptr)(suit_storage_t *, const uint8_t **, size_t *);
    int (*install)(suit_storage_t *, const suit_manifest_t *);
    int (*erase)(suit_storage_t *);
    bool (*has_location)(const suit_storage_t *, const char *);
    bool (*match_offset)(const suit_storage_t *, size_t);
    int (*set_active_location)(suit_storage_t *, const char *);
    int (*get_seq_no)(const suit_storage_t *, uint32_t *);
    int (*set_seq_no)(suit_storage_t *, uint32_t);
    char separator;
} suit_storage_driver_t;

struct suit_storage {
    const suit_storage_driver_t *driver;
};

#endif
