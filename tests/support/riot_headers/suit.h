/* RIOT's sys/suit, as far as a storage backend sees it: declarations for tests without RIOT. */
#ifndef SUIT_H
#define SUIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef CONFIG_SUIT_COMPONENT_MAX
#define CONFIG_SUIT_COMPONENT_MAX 1U
#endif

#define SUIT_STATE_COSE_AUTHENTICATED 2
#define SUIT_STATE_FULLY_AUTHENTICATED 4
#define SUIT_COMPONENT_STATE_INSTALLED 8

enum {
    SUIT_OK = 0,
    SUIT_ERR_INVALID_MANIFEST = -1,
    SUIT_ERR_SEQUENCE_NUMBER = -5,
    SUIT_ERR_SIGNATURE = -6,
    SUIT_ERR_DIGEST_MISMATCH = -7,
    SUIT_ERR_POLICY_FORBIDDEN = -8,
    SUIT_ERR_STORAGE = -50,
    SUIT_ERR_STORAGE_EXCEEDED = -51,
    SUIT_ERR_STORAGE_UNAVAILABLE = -52
};

typedef struct suit_storage suit_storage_t;

typedef struct {
    uint16_t offset;
} suit_param_ref_t;

typedef struct {
    suit_storage_t *storage_backend;
    uint16_t state;
    suit_param_ref_t param_digest;
} suit_component_t;

typedef struct {
    const uint8_t *buf;
    size_t len;
    const uint8_t *cose_payload;
    size_t cose_payload_len;
    uint32_t validated;
    uint32_t state;
    suit_component_t components[CONFIG_SUIT_COMPONENT_MAX];
    unsigned components_len;
    uint8_t component_current;
    uint32_t seq_number;
} suit_manifest_t;

#endif
