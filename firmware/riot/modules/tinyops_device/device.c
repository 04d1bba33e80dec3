/* The one device, and what shares it. */
#include <errno.h>
#include <string.h>

#include "rmutex.h"
#include "tinyops.h"
#include "tinyops/to_port.h"

to_device tinyops_device;

static rmutex_t mutex = RMUTEX_INIT;
static uint8_t started;

void tinyops_lock(void) {
    rmutex_lock(&mutex);
    if (!started) {
        started = 1;
        to_port_init();
        to_device_start(&tinyops_device, &to_device_model);
    }
}

void tinyops_unlock(void) { rmutex_unlock(&mutex); }

static int is_client_active(void) {
    const to_features *features = to_device_front_end();
    return tinyops_device.upload.active || tinyops_device.outputs_left ||
           (features != NULL && features->run->open);
}

static void end_client_inference(void) {
    const to_features *features = to_device_front_end();
    tinyops_device.upload.active = 0;
    tinyops_device.outputs_left = 0;
    if (features != NULL) {
        features->run->open = 0;
    }
}

/* Changes with each request of the client whose inference is under way. */
static uint32_t client_progress(void) {
    for (unsigned i = 0; i < TO_DEVICE_PEERS; i++) {
        const to_device_peer *peer = &tinyops_device.peers[i];
        if (to_endpoint_equal(&peer->endpoint, &tinyops_device.upload.from)) {
            return peer->last_use;
        }
    }
    return 0; /* another client has taken its place */
}

int tinyops_is_free(void) {
    static uint64_t since;
    static uint32_t progress;
    if (!is_client_active()) {
        since = 0;
        return 1;
    }
    uint64_t now = to_port_now_ms();
    if (since == 0 || client_progress() != progress) {
        progress = client_progress();
        since = now;
    } else if (now - since >= CONFIG_TINYOPS_PATIENCE_MS) {
        end_client_inference();
        since = 0;
        return 1;
    }
    return 0;
}

void *tinyops_input(uint8_t index) { return to_device_model.arena + to_device_model.inputs[index].offset; }

const void *tinyops_output(uint8_t index) {
    return to_device_model.arena + to_device_model.outputs[index].offset;
}

void tinyops_invoke(void) {
    tinyops_device.has_outputs = 0; /* those of a client are overwritten */
    to_device_invoke(&tinyops_device, 0);
}

void tinyops_reset(void) { to_device_reset(&tinyops_device); }

int tinyops_infer(const void *const *inputs, void *const *outputs) {
    const to_model *model = &to_device_model;
    int result = -EBUSY;
    tinyops_lock();
    if (tinyops_is_free()) {
        for (uint8_t i = 0; i < model->input_count; i++) {
            memcpy(tinyops_input(i), inputs[i], model->inputs[i].bytes);
        }
        tinyops_invoke();
        for (uint8_t i = 0; i < model->output_count; i++) {
            memcpy(outputs[i], tinyops_output(i), model->outputs[i].bytes);
        }
        result = 0;
    }
    tinyops_unlock();
    return result;
}
