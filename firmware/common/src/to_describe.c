#include "tinyops/to_cbor.h"
#include "tinyops/to_device.h"
#include "tinyops/to_port.h"

/* Map keys are in the order of deterministic CBOR (RFC 8949, 4.2.1). */

static void write_tensors(to_cbor *out, const to_tensor_info *tensors, uint8_t count) {
    to_cbor_array(out, count);
    for (uint8_t i = 0; i < count; i++) {
        const to_tensor_info *tensor = &tensors[i];
        to_cbor_map(out, 6);
        to_cbor_text(out, "name");
        to_cbor_text(out, tensor->name);
        to_cbor_text(out, "bytes");
        to_cbor_uint(out, tensor->bytes);
        to_cbor_text(out, "dtype");
        to_cbor_text(out, tensor->dtype);
        to_cbor_text(out, "scale");
        to_cbor_float(out, tensor->scale);
        to_cbor_text(out, "shape");
        to_cbor_array(out, tensor->rank);
        for (uint8_t axis = 0; axis < tensor->rank; axis++) {
            to_cbor_uint(out, tensor->shape[axis]);
        }
        to_cbor_text(out, "zero_point");
        to_cbor_int(out, tensor->zero_point);
    }
}

static void write_features(to_cbor *out, const to_features *features) {
    to_cbor_map(out, 5);
    to_cbor_text(out, "kind");
    to_cbor_text(out, features->kind);
    to_cbor_text(out, "dtype");
    to_cbor_text(out, features->dtype);
    to_cbor_text(out, "shape");
    to_cbor_array(out, features->rank);
    for (uint8_t axis = 0; axis < features->rank; axis++) {
        to_cbor_uint(out, features->shape[axis]);
    }
    to_cbor_text(out, "next_bytes");
    to_cbor_uint(out, features->next_steps * features->step_bytes);
    to_cbor_text(out, "first_bytes");
    to_cbor_uint(out, features->first_steps * features->step_bytes);
}

uint32_t to_describe_info(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size) {
    const to_model *model = device->model;
    const to_features *features = to_device_front_end();
    uint32_t hertz = to_port_count_hertz();
    to_cbor out;
    to_cbor_start(&out, window, skip, size);
    to_cbor_map(&out, 11u + (hertz != 0) + (features != NULL));
    to_cbor_text(&out, "model");
    to_cbor_text(&out, model->name);
    to_cbor_text(&out, "digest");
    to_cbor_bytes(&out, model->digest, 32);
    to_cbor_text(&out, "inputs");
    write_tensors(&out, model->inputs, model->input_count);
    to_cbor_text(&out, "layers");
    to_cbor_array(&out, model->layer_count);
    for (uint16_t i = 0; i < model->layer_count; i++) {
        to_cbor_array(&out, 2);
        to_cbor_text(&out, model->layers[i].name);
        to_cbor_text(&out, model->layers[i].op);
    }
    to_cbor_text(&out, "counter");
    to_cbor_text(&out, to_port_count_kind());
    to_cbor_text(&out, "outputs");
    write_tensors(&out, model->outputs, model->output_count);
    to_cbor_text(&out, "version");
    to_cbor_text(&out, TINYOPS_VERSION);
    if (hertz != 0) {
        to_cbor_text(&out, "clock_hz");
        to_cbor_uint(&out, hertz);
    }
    if (features != NULL) {
        to_cbor_text(&out, "features");
        write_features(&out, features);
    }
    to_cbor_text(&out, "protocol");
    to_cbor_uint(&out, TO_DEVICE_PROTOCOL);
    to_cbor_text(&out, "arena_bytes");
    to_cbor_uint(&out, model->arena_bytes);
    to_cbor_text(&out, "block_bytes");
    to_cbor_uint(&out, to_coap_block_bytes(TO_COAP_BLOCK_SZX));
    to_cbor_text(&out, "state_bytes");
    to_cbor_uint(&out, model->state_bytes);
    return out.total;
}

uint32_t to_describe_profile(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size) {
    const to_device_counts *counts = &device->counts;
    const to_features *features = to_device_front_end();
    uint16_t layers = counts->has_layers ? device->model->layer_count : 0;
    to_cbor out;
    to_cbor_start(&out, window, skip, size);
    to_cbor_map(&out, features != NULL ? 6 : 5);
    to_cbor_text(&out, "kind");
    to_cbor_text(&out, to_port_count_kind());
    to_cbor_text(&out, "layers");
    to_cbor_array(&out, layers);
    for (uint16_t i = 0; i < layers; i++) {
        to_cbor_uint(&out, counts->layers[i]);
    }
    if (features != NULL) {
        int counted = features->run->started && (counts->has_invocation || counts->has_layers);
        to_cbor_text(&out, "features");
        if (counted) {
            to_cbor_uint(&out, features->run->instructions);
        } else {
            to_cbor_null(&out);
        }
    }
    to_cbor_text(&out, "invocation");
    if (counts->has_invocation) {
        to_cbor_uint(&out, counts->invocation);
    } else {
        to_cbor_null(&out);
    }
    to_cbor_text(&out, "frames_dropped");
#ifndef TO_NO_LINE
    to_cbor_uint(&out, device->receiver.dropped);
#else
    to_cbor_uint(&out, 0);
#endif
    to_cbor_text(&out, "stack_bytes_used");
    to_cbor_uint(&out, to_port_stack_used());
    return out.total;
}
