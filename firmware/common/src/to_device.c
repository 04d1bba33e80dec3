#include "tinyops/to_device.h"

#include <string.h>

#include "tinyops/to_port.h"
#include "tinyops/to_text.h"

static void send_empty(uint8_t type, uint16_t id) {
    uint8_t bytes[4];
    to_coap_writer writer;
    to_coap_start(&writer, bytes, sizeof bytes, type, TO_COAP_EMPTY, id, NULL, 0);
    to_slipmux_send_coap(bytes, writer.length);
}

static void send_reply(const to_device *device) {
    if (device->reply_length > 0) {
        to_slipmux_send_coap(device->reply, device->reply_length);
    }
}

/* Counting */

static uint64_t above(uint64_t count, uint64_t overhead) { return count > overhead ? count - overhead : 0; }

static void observe(void *context, uint16_t layer, int done) {
    to_device_counts *counts = context;
    if (!done) {
        counts->started = to_port_count();
        return;
    }
    uint64_t count = to_port_count() - counts->started;
    if (layer < TO_DEVICE_LAYERS) {
        counts->layers[layer] += above(count, counts->layer_overhead);
    }
}

/* What an empty region counts is what counting costs. */
static void calibrate(to_device_counts *counts) {
    uint64_t first = to_port_count();
    counts->invocation_overhead = to_port_count() - first;

    to_observer volatile hidden = observe; /* calls as a model makes them, through a pointer */
    to_observer observer = hidden;
    counts->layers[0] = 0;
    observer(counts, 0, 0);
    observer(counts, 0, 1);
    counts->layer_overhead = counts->layers[0];
}

void to_device_invoke(to_device *device, int observed) {
    const to_model *model = device->model;
    to_device_counts *counts = &device->counts;
    int counting = memcmp(to_port_count_kind(), "none", sizeof "none") != 0;
    if (observed) {
        memset(counts->layers, 0, sizeof counts->layers);
        model->invoke_observed(model->arena, model->state, observe, counts);
        counts->has_layers = counting != 0;
    } else {
        uint64_t before = to_port_count();
        model->invoke(model->arena, model->state);
        counts->invocation = above(to_port_count() - before, counts->invocation_overhead);
        counts->has_invocation = counting != 0;
    }
}

void to_device_push(to_device *device, const to_features *features) {
    uint64_t before = to_port_count();
    features->push(features->state, features->step, device->model->arena);
    features->run->instructions += above(to_port_count() - before, device->counts.invocation_overhead);
}

void to_device_reset(to_device *device) {
    const to_features *features = to_device_front_end();
    device->model->init(device->model->state);
    if (features != NULL) {
        memset(features->run, 0, sizeof *features->run);
        features->init(features->state);
    }
}

/* Messages */

void to_device_answer_separately(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    uint8_t type = TO_COAP_NON;
    if (request->type == TO_COAP_CON) {
        send_empty(TO_COAP_ACK, request->id);
        type = TO_COAP_CON;
        device->request_separate = 1;
        device->unacknowledged = 1;
    }
    uint16_t id = device->next_id++;
    to_coap_start(reply, reply->bytes, reply->capacity, type, TO_COAP_EMPTY, id, request->token,
                  request->token_length);
}

static int is_repeated(const to_device *device, const to_coap_message *request) {
    return device->has_request && device->request_id == request->id &&
           device->request_token_length == request->token_length &&
           memcmp(device->request_token, request->token, request->token_length) == 0;
}

static void answer_repeated(const to_device *device, const to_coap_message *request) {
    if (request->type != TO_COAP_CON) {
        return;
    }
    if (device->request_separate) {
        send_empty(TO_COAP_ACK, request->id);
    }
    if (!device->request_separate || device->unacknowledged) {
        send_reply(device);
    }
}

static void remember(to_device *device, const to_coap_message *request) {
    device->has_request = 1;
    device->request_id = request->id;
    device->request_token_length = request->token_length;
    memcpy(device->request_token, request->token, sizeof device->request_token);
    device->request_separate = 0;
    device->unacknowledged = 0;
    device->reply_length = 0;
}

static void handle_request(to_device *device, const to_coap_message *request) {
    if (request->type != TO_COAP_CON && request->type != TO_COAP_NON) {
        return;
    }
    if (is_repeated(device, request)) {
        answer_repeated(device, request);
        return;
    }
    remember(device, request);
    /* RFC 7252, 5.4.1: a non-confirmable message with an unknown critical option is rejected silently. */
    if (request->bad_option != 0 && request->type == TO_COAP_NON) {
        return;
    }
    to_coap_writer reply;
    int confirmable = request->type == TO_COAP_CON;
    to_coap_start(&reply, device->reply, sizeof device->reply, confirmable ? TO_COAP_ACK : TO_COAP_NON,
                  TO_COAP_EMPTY, confirmable ? request->id : device->next_id++, request->token,
                  request->token_length);
    to_resources_answer(device, request, &reply);
    device->reply_length = reply.length;
    send_reply(device);
}

static void handle_empty(to_device *device, const to_coap_message *message) {
    if (message->type == TO_COAP_CON) { /* a ping */
        send_empty(TO_COAP_RST, message->id);
        if (device->unacknowledged) {
            send_reply(device);
        }
    } else if (message->type == TO_COAP_ACK || message->type == TO_COAP_RST) {
        uint16_t reply_id = (uint16_t)(device->reply[2] << 8 | device->reply[3]);
        if (device->unacknowledged && message->id == reply_id) {
            device->unacknowledged = 0;
        }
    }
}

static void handle_message(to_device *device, const uint8_t *data, size_t length) {
    to_coap_message message;
    to_coap_result result = to_coap_parse(&message, data, length);
    if (result == TO_COAP_IGNORE) {
        return;
    }
    if (result == TO_COAP_OK && message.code == TO_COAP_EMPTY) {
        handle_empty(device, &message);
    } else if (result == TO_COAP_OK && message.code >> 5 == 0) {
        handle_request(device, &message);
    } else if (message.type == TO_COAP_CON) { /* malformed, or a response that nobody waits for */
        send_empty(TO_COAP_RST, message.id);
    }
}

void to_device_receive(to_device *device, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (to_slipmux_feed(&device->receiver, data[i]) == TO_SLIPMUX_COAP) {
            size_t content_length;
            const uint8_t *content = to_slipmux_content(&device->receiver, &content_length);
            handle_message(device, content, content_length);
        }
    }
}

void to_device_start(to_device *device, const to_model *model) {
    memset(device, 0, sizeof *device);
    device->model = model;
    to_slipmux_reset(&device->receiver);
    to_device_reset(device);
    calibrate(&device->counts);

    to_number_text arena;
    const char *const greeting[] = {"tinyops " TINYOPS_VERSION ", model ",       model->name,  ", ",
                                    to_text_decimal(&arena, model->arena_bytes), " B arena\n", NULL};
    to_slipmux_send_text(greeting);
}

void to_device_run(to_device *device) {
    uint8_t bytes[64];
    for (;;) {
        int count = to_port_read(bytes, sizeof bytes);
        if (count < 0) {
            return;
        }
        to_device_receive(device, bytes, (size_t)count);
    }
}
