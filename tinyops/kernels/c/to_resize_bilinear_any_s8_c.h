/* RESIZE_BILINEAR, int8; generic C. */
#ifndef TINYOPS_TO_RESIZE_BILINEAR_ANY_S8_C_H
#define TINYOPS_TO_RESIZE_BILINEAR_ANY_S8_C_H

#include <stdint.h>

/* Output row k lies at (k * scale_h + offset_h) / 1024 input rows, which is at least -1/2 and below in_h;
 * columns alike. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t out_h;
    int32_t out_w;
    int32_t scale_h;
    int32_t scale_w;
    int32_t offset_h;
    int32_t offset_w;
} to_resize_bilinear_s8_params;

/* in: int8[batches][in_h][in_w][channels], out: int8[batches][out_h][out_w][channels].
 * Source of the arithmetic: ResizeBilinearInteger in TensorFlow Lite's reference/resize_bilinear.h.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_resize_bilinear_any_s8_c(const to_resize_bilinear_s8_params *p, const int8_t *in, int8_t *out);

#endif
