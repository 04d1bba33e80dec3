#include <string.h>

#include "tinyops/to_device.h"
#include "tinyops/to_resources.h"

enum { FLAG_RESET = 1, FLAG_PROFILE = 2, FLAG_RAW = 4 };

void to_resources_fail(to_coap_writer *reply, uint8_t code, const char *text) {
    to_coap_set_code(reply, code);
    to_coap_put_text(reply, text);
}

/* The size of the blocks of an answer: as the client asks, or smaller. */
static uint8_t answer_szx(const to_coap_message *request) {
    const to_coap_block *block2 = &request->block2;
    return block2->present && block2->szx < TO_COAP_BLOCK_SZX ? block2->szx : TO_COAP_BLOCK_SZX;
}

/* Where the asked block begins: below 2^30, the number has 20 bits. */
static uint32_t answer_offset(const to_coap_message *request) {
    return request->block2.number * to_coap_block_bytes(request->block2.szx);
}

void to_resources_answer_body(const to_device *device, const to_coap_message *request, to_coap_writer *reply,
                              uint8_t code, uint16_t format, to_resources_body body) {
    const to_coap_block *block2 = &request->block2;
    uint8_t szx = answer_szx(request);
    uint32_t block = to_coap_block_bytes(szx);
    uint32_t offset = answer_offset(request);
    uint32_t total = body(device, NULL, 0, 0);
    if (offset > 0 && offset >= total) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST, "block is behind the end");
        return;
    }
    uint32_t size = total - offset < block ? total - offset : block;
    int more = offset + size < total;
    to_coap_set_code(reply, code);
    to_coap_put_uint(reply, TO_COAP_OPTION_CONTENT_FORMAT, format);
    if (block2->present || more) {
        to_coap_put_block(reply, TO_COAP_OPTION_BLOCK2, offset / block, more, szx);
    }
    if (request->block1.present) {
        to_coap_put_block(reply, TO_COAP_OPTION_BLOCK1, request->block1.number, 0, request->block1.szx);
    }
    if (more && offset == 0) {
        to_coap_put_uint(reply, TO_COAP_OPTION_SIZE2, total);
    }
    uint8_t *payload = size > 0 ? to_coap_put_payload(reply, size) : NULL;
    if (payload != NULL) {
        body(device, payload, offset, size);
    }
}

/* GET /info */

static void get_info(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_resources_answer_body(device, request, reply, TO_COAP_CONTENT, TO_COAP_FORMAT_CBOR, to_describe_info);
}

/* GET /profile */

static void get_profile(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_resources_answer_body(device, request, reply, TO_COAP_CONTENT, TO_COAP_FORMAT_CBOR,
                             to_describe_profile);
}

/* POST /reset */

static void post_reset(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    (void)request;
    to_device_reset(device);
    to_coap_set_code(reply, TO_COAP_CHANGED);
}

/* POST /infer */

static uint32_t write_outputs(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size) {
    const to_model *model = device->model;
    uint32_t total = 0;
    for (uint8_t i = 0; i < model->output_count; i++) {
        const to_tensor_info *tensor = &model->outputs[i];
        uint32_t from = skip > total ? skip - total : 0;
        if (size > 0 && from < tensor->bytes) {
            uint32_t part = tensor->bytes - from < size ? tensor->bytes - from : size;
            memcpy(window, model->arena + tensor->offset + from, part);
            window += part;
            skip += part;
            size -= part;
        }
        total += tensor->bytes;
    }
    return total;
}

/* Puts the next bytes of all inputs, one after the other, into their places in the arena. */
static void store_inputs(to_device *device, to_coap_slice part) {
    const to_model *model = device->model;
    uint32_t start = 0;
    for (uint8_t i = 0; i < model->input_count && part.length > 0; i++) {
        const to_tensor_info *tensor = &model->inputs[i];
        uint32_t from = device->upload.received - start;
        if (from < tensor->bytes) {
            uint32_t left = tensor->bytes - from;
            uint16_t size = (uint16_t)(part.length < left ? part.length : left);
            memcpy(model->arena + tensor->offset + from, part.bytes, size);
            part.bytes += size;
            part.length = (uint16_t)(part.length - size);
            device->upload.received += size;
        }
        start += tensor->bytes;
    }
}

static void begin_raw(const to_features *features, uint8_t flags) {
    uint8_t started = features->run->started;
    memset(features->run, 0, sizeof *features->run);
    features->run->open = 1;
    features->run->started = started;
    if (flags & FLAG_RESET) {
        features->run->started = 0;
        features->init(features->state);
    }
}

/* Hands the next raw bytes to the front end, step by step. */
static void store_raw(to_device *device, const to_features *features, to_coap_slice part) {
    to_features_run *run = features->run;
    device->upload.received += part.length;
    while (part.length > 0) {
        uint32_t left = features->step_bytes - run->filled;
        uint16_t size = (uint16_t)(part.length < left ? part.length : left);
        memcpy(features->step + run->filled, part.bytes, size);
        part.bytes += size;
        part.length = (uint16_t)(part.length - size);
        run->filled += size;
        if (run->filled == features->step_bytes) {
            run->filled = 0;
            to_device_push(device, features);
        }
    }
}

static uint32_t expected_bytes(const to_device *device, uint8_t flags) {
    const to_features *features = to_device_front_end();
    uint32_t expected = 0;
    if (features != NULL && (flags & FLAG_RAW)) {
        int first = (flags & FLAG_RESET) || !features->run->started;
        return (first ? features->first_steps : features->next_steps) * features->step_bytes;
    }
    for (uint8_t i = 0; i < device->model->input_count; i++) {
        expected += device->model->inputs[i].bytes;
    }
    return expected;
}

static void refuse_length(to_device *device, to_coap_writer *reply, uint8_t code, uint32_t given) {
    device->upload.active = 0;
    to_coap_set_code(reply, code);
    if (code == TO_COAP_TOO_LARGE) {
        to_coap_put_uint(reply, TO_COAP_OPTION_SIZE1, device->upload.expected);
    }
    to_coap_put_text(reply, "expected ");
    to_coap_put_number(reply, device->upload.expected);
    to_coap_put_text(reply, code == TO_COAP_TOO_LARGE ? " bytes of input, given at least "
                                                      : " bytes of input, given ");
    to_coap_put_number(reply, given);
}

static int read_flags(const to_coap_message *request, uint8_t *flags) {
    *flags = 0;
    for (uint8_t i = 0; i < request->query_count; i++) {
        to_coap_slice query = request->queries[i];
        if (to_coap_slice_is(query, "reset=1")) {
            *flags |= FLAG_RESET;
        } else if (to_coap_slice_is(query, "profile=1")) {
            *flags |= FLAG_PROFILE;
        } else if (to_device_front_end() != NULL && to_coap_slice_is(query, "raw=1")) {
            *flags |= FLAG_RAW;
        } else if (!to_coap_slice_is(query, "reset=0") && !to_coap_slice_is(query, "profile=0") &&
                   !(to_device_front_end() != NULL && to_coap_slice_is(query, "raw=0"))) {
            return 0;
        }
    }
    return 1;
}

static int is_uploader(const to_device *device) {
    return to_endpoint_equal(&device->upload.from, &device->peer->endpoint);
}

/* Takes one block of the inputs. Returns 1 when they are complete; else the answer is written. */
static int take_block(to_device *device, const to_coap_message *request, to_coap_writer *reply,
                      uint8_t flags) {
    to_device_upload *upload = &device->upload;
    const to_coap_block *block1 = &request->block1;
    uint32_t block = to_coap_block_bytes(block1->szx);
    uint32_t offset = block1->number * block;
    uint32_t length = request->payload.length;
    const to_features *features = flags & FLAG_RAW ? to_device_front_end() : NULL;
    if (offset == 0 && features != NULL && features->run->open && !(flags & FLAG_RESET)) {
        to_resources_fail(reply, TO_COAP_INCOMPLETE, "the stream broke off; begin anew: reset=1");
        return 0;
    }
    if (offset == 0) {
        upload->received = 0;
        upload->expected = expected_bytes(device, flags);
        upload->active = 1;
        upload->flags = flags;
        upload->from = device->peer->endpoint;
        device->has_outputs = 0;
        device->outputs_left = 0;
        if (request->size1.present && request->size1.value != upload->expected) {
            refuse_length(device, reply, TO_COAP_BAD_REQUEST, request->size1.value);
            return 0;
        }
    } else if (!upload->active || offset != upload->received || flags != upload->flags ||
               !is_uploader(device)) {
        to_resources_fail(reply, TO_COAP_INCOMPLETE, "not the next block");
        return 0;
    }
    if (block1->present && (block1->more ? length != block : length > block)) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST, "payload is not of the block's size");
        return 0;
    }
    if (length > upload->expected - upload->received) {
        refuse_length(device, reply, block1->present ? TO_COAP_TOO_LARGE : TO_COAP_BAD_REQUEST,
                      upload->received + length);
        return 0;
    }
    if (!block1->more && upload->received + length != upload->expected) {
        refuse_length(device, reply, TO_COAP_BAD_REQUEST, upload->received + length);
        return 0;
    }
    if (features == NULL) {
        store_inputs(device, request->payload);
    } else {
        if (offset == 0) {
            begin_raw(features, flags);
        }
        store_raw(device, features, request->payload);
    }
    if (block1->more) {
        to_coap_set_code(reply, TO_COAP_CONTINUE);
        to_coap_put_block(reply, TO_COAP_OPTION_BLOCK1, block1->number, 1, block1->szx);
        return 0;
    }
    upload->active = 0;
    if (features != NULL) {
        features->run->open = 0;
        features->run->started = 1;
    }
    return 1;
}

static void post_infer(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    uint8_t flags;
    if (!read_flags(request, &flags)) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST,
                          to_device_front_end() != NULL ? "unknown query; allowed: raw=1, reset=1, profile=1"
                                                        : "unknown query; allowed: reset=1, profile=1");
        return;
    }
    if (request->content_format.present && request->content_format.value != TO_COAP_FORMAT_OCTETS) {
        to_resources_fail(reply, TO_COAP_UNSUPPORTED_FORMAT, "allowed: 42, octets");
        return;
    }
    if (request->block2.number > 0) { /* a further block of the last outputs */
        if (!device->has_outputs || request->block1.present || request->payload.length > 0 ||
            !is_uploader(device)) {
            to_resources_fail(reply, TO_COAP_INCOMPLETE, "no outputs are kept");
            return;
        }
    } else {
        if ((flags & FLAG_PROFILE) && device->model->layer_count > TO_DEVICE_LAYERS) {
            to_resources_fail(reply, TO_COAP_NOT_IMPLEMENTED, "more layers than TO_DEVICE_LAYERS");
            return;
        }
        if (!take_block(device, request, reply, flags)) {
            return;
        }
        to_device_answer_separately(device, request, reply);
        if (flags & FLAG_RESET) {
            device->model->init(device->model->state);
        }
        to_device_invoke(device, flags & FLAG_PROFILE);
        device->has_outputs = 1;
    }
    to_resources_answer_body(device, request, reply, TO_COAP_CHANGED, TO_COAP_FORMAT_OCTETS, write_outputs);
    uint32_t end = answer_offset(request) + to_coap_block_bytes(answer_szx(request));
    device->outputs_left = end < write_outputs(device, NULL, 0, 0);
}

static const to_resource resources[] = {
    {"info", TO_COAP_GET, 0, TO_COAP_FORMAT_CBOR, get_info},
    {"infer", TO_COAP_POST, 1, TO_COAP_FORMAT_OCTETS, post_infer},
    {"reset", TO_COAP_POST, 0, 0, post_reset},
    {"profile", TO_COAP_GET, 0, TO_COAP_FORMAT_CBOR, get_profile},
    {NULL, 0, 0, 0, NULL},
};

#ifdef TO_UPDATABLE
static const to_resource *const tables[] = {resources, to_update_resources};
#else
static const to_resource *const tables[] = {resources};
#endif

static int is_path(const to_coap_message *request, const char *path) {
    size_t first = 0;
    while (path[first] != '\0' && path[first] != '/') {
        first++;
    }
    if (path[first] == '\0') {
        return request->path_segments == 1 && to_coap_slice_is(request->path[0], path);
    }
    return request->path_segments == 2 && request->path[0].length == first &&
           memcmp(request->path[0].bytes, path, first) == 0 &&
           to_coap_slice_is(request->path[1], path + first + 1);
}

static const to_resource *find_resource(const to_coap_message *request) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const to_resource *found = tables[i]; found->path != NULL; found++) {
            if (is_path(request, found->path)) {
                return found;
            }
        }
    }
    return NULL;
}

static void refuse_path(to_coap_writer *reply) {
    to_resources_fail(reply, TO_COAP_NOT_FOUND, "allowed: ");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const to_resource *found = tables[i]; found->path != NULL; found++) {
            if (i > 0 || found != tables[i]) {
                to_coap_put_text(reply, ", ");
            }
            to_coap_put_text(reply, found->path);
        }
    }
}

static void refuse_method(to_coap_writer *reply, uint8_t allowed) {
    static const char *const texts[] = {"allowed: GET", "allowed: POST", "allowed: PUT"};
    to_resources_fail(reply, TO_COAP_METHOD_NOT_ALLOWED, texts[allowed - TO_COAP_GET]);
}

static void refuse_format(to_coap_writer *reply, uint16_t allowed) {
    to_resources_fail(reply, TO_COAP_NOT_ACCEPTABLE,
                      allowed == TO_COAP_FORMAT_CBOR     ? "allowed: 60, CBOR"
                      : allowed == TO_COAP_FORMAT_OCTETS ? "allowed: 42, octets"
                                                         : "allowed: 112, SenML in CBOR");
}

void to_resources_answer(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    const to_resource *found = find_resource(request);
    if (request->bad_option != 0) {
        to_resources_fail(reply, TO_COAP_BAD_OPTION, "not understood: option ");
        to_coap_put_number(reply, request->bad_option);
    } else if (found == NULL) {
        refuse_path(reply);
    } else if (request->code != found->method) {
        refuse_method(reply, found->method);
    } else if (request->block1.szx > 6 || request->block2.szx > 6) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST, "reserved block size");
    } else if (request->block1.szx > TO_COAP_BLOCK_SZX) { /* RFC 7959, 2.9.3 */
        to_coap_set_code(reply, TO_COAP_TOO_LARGE);
        to_coap_put_block(reply, TO_COAP_OPTION_BLOCK1, 0, 0, TO_COAP_BLOCK_SZX);
        to_coap_put_text(reply, "smaller blocks");
    } else if (request->accept.present && found->format != 0 && request->accept.value != found->format) {
        refuse_format(reply, found->format);
    } else if (!found->takes_input &&
               (request->payload.length > 0 || request->block1.present || request->query_count > 0)) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST, "takes neither payload nor query");
    } else {
        found->answer(device, request, reply);
    }
}
