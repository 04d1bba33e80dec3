#include "tinyops/to_device.h"

#include <string.h>

#include "tinyops/to_port.h"
#include "tinyops/to_text.h"
#include "to_exchange.h"

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
#ifdef TO_UPDATABLE
    to_update_inference_done(device->update);
#endif
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

/* Updates */

#ifdef TO_UPDATABLE

/* Requests that may come between two blocks of one inference before it is given up for a new model. */
#define PATIENCE 8u

/* Likewise, where there is a clock: how long such an inference may stand still. */
#define PATIENCE_MS 10000u

static void start_update(to_device *device) {
    static to_update update;
    to_update_port port;
    memset(&port, 0, sizeof port);
    to_port_update(&port);
    port.say = to_slipmux_send_text;
    to_update_start(&update, &to_device_update, &port);
    device->update = &update;
}

/* No input is half there, and no output half fetched. */
static int is_between_inferences(const to_device *device) {
    const to_features *features = to_device_front_end();
    return !device->upload.active && !device->outputs_left && (features == NULL || !features->run->open);
}

static void try_update(to_device *device) {
    if (!to_update_is_due(device->update) || !is_between_inferences(device)) {
        return;
    }
    device->waited = 0;
    if (to_update_poll(device->update)) {
        to_device_reset(device);
        device->has_outputs = 0;
        device->counts.has_invocation = 0;
        device->counts.has_layers = 0;
    }
}

static void end_inference(to_device *device) {
    const to_features *features = to_device_front_end();
    device->upload.active = 0;
    device->outputs_left = 0;
    if (features != NULL) {
        features->run->open = 0;
    }
}

/* Before a request: one that does not go on with the present inference, but begins another one, ends it, and
 * so do many others. */
static void try_update_before(to_device *device, const to_coap_message *request) {
    if (!to_update_is_due(device->update)) {
        return;
    }
    int infers = request->path_segments == 1 && to_coap_slice_is(request->path[0], "infer");
    if (infers && (request->block1.number > 0 || request->block2.number > 0)) {
        return;
    }
    if (infers || ++device->waited > PATIENCE) {
        end_inference(device);
    }
    try_update(device);
}

#ifdef TO_NETWORK
/* Ends an inference whose input does not go on while a new model waits; when to look again. */
static uint64_t poll_inference(to_device *device) {
    uint64_t now = to_port_now_ms();
    if (!to_update_is_due(device->update) || is_between_inferences(device)) {
        device->patience_ends = 0;
        return UINT64_MAX;
    }
    if (device->patience_ends == 0 || device->upload.received != device->patient_at) {
        device->patience_ends = now + PATIENCE_MS;
        device->patient_at = device->upload.received;
    } else if (now >= device->patience_ends) {
        end_inference(device);
    }
    return device->patience_ends;
}
#endif

#else

static void start_update(to_device *device) { (void)device; }
static void try_update(to_device *device) { (void)device; }
static void try_update_before(to_device *device, const to_coap_message *request) {
    (void)device;
    (void)request;
}

#endif

/* Requests */

void to_device_answer(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    try_update_before(device, request);
    to_resources_answer(device, request, reply);
}

void to_device_idle(to_device *device) { try_update(device); }

#ifdef TO_NETWORK
uint64_t to_device_poll(to_device *device) {
    uint64_t waits = UINT64_MAX;
#ifdef TO_UPDATABLE
    to_update_tick(device->update, (uint32_t)(to_port_now_ms() / 1000u));
    waits = poll_inference(device);
#endif
    try_update(device);
    uint64_t next = to_exchange_poll(device);
    return waits < next ? waits : next;
}
#endif

#ifndef TO_NO_LINE
void to_device_receive(to_device *device, const uint8_t *data, size_t length) {
    static const to_endpoint line;
    for (size_t i = 0; i < length; i++) {
        if (to_slipmux_feed(&device->receiver, data[i]) == TO_SLIPMUX_COAP) {
            size_t content_length;
            const uint8_t *content = to_slipmux_content(&device->receiver, &content_length);
            to_device_datagram(device, &line, content, content_length);
        }
    }
}
#endif

void to_device_start(to_device *device, const to_model *model) {
    memset(device, 0, sizeof *device);
    device->model = model;
#ifndef TO_NO_LINE
    to_slipmux_reset(&device->receiver);
#endif
#ifdef TO_NETWORK /* a peer may still remember the ids from before a reset */
    uint8_t random[2];
    to_port_random(random, sizeof random);
    device->next_id = (uint16_t)(random[0] << 8 | random[1]);
#endif
    start_update(device);
    to_device_reset(device);
    calibrate(&device->counts);

    to_number_text arena;
    const char *const greeting[] = {"tinyops " TINYOPS_VERSION ", model ",       model->name,  ", ",
                                    to_text_decimal(&arena, model->arena_bytes), " B arena\n", NULL};
    to_slipmux_send_text(greeting);
    try_update(device);
}

#ifndef TO_NO_LINE
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
#endif
