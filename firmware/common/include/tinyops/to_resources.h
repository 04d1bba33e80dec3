/* For the files that implement resources of a device. */
#ifndef TINYOPS_TO_RESOURCES_H
#define TINYOPS_TO_RESOURCES_H

#include "tinyops/to_device.h"

/* Stores the bytes [skip, skip + size) of a body in `window`, and returns the bytes of the whole body. */
typedef uint32_t (*to_resources_body)(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size);

typedef struct {
    const char *path; /* at most one '/' */
    uint8_t method;
    uint8_t takes_input;
    uint16_t format; /* of the answer; 0: it has no content */
    void (*answer)(to_device *device, const to_coap_message *request, to_coap_writer *reply);
} to_resource;

/* An answer with a text for people. */
void to_resources_fail(to_coap_writer *reply, uint8_t code, const char *text);

/* Answers with the block of the body that the request asks for, the first of 1024 bytes when it asks for
 * none. */
void to_resources_answer_body(const to_device *device, const to_coap_message *request, to_coap_writer *reply,
                              uint8_t code, uint16_t format, to_resources_body body);

/* The resources of updates; the list ends with a path of NULL. */
extern const to_resource to_update_resources[];

#endif
