/* RESIZE_BILINEAR, float32; generic C. */
#ifndef TINYOPS_TO_RESIZE_BILINEAR_ANY_F32_C_H
#define TINYOPS_TO_RESIZE_BILINEAR_ANY_F32_C_H

#include <stdint.h>

/* Output row k lies at k * scale_h input rows, or with half_pixel_centers at (k + 0.5) * scale_h - 0.5;
 * columns alike. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t out_h;
    int32_t out_w;
    float scale_h;
    float scale_w;
    int32_t half_pixel_centers;
} to_resize_bilinear_f32_params;

/* in: float[batches][in_h][in_w][channels], out: float[batches][out_h][out_w][channels].
 * Source of the arithmetic: ResizeBilinear in TensorFlow Lite's reference/resize_bilinear.h.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_resize_bilinear_any_f32_c(const to_resize_bilinear_f32_params *p, const float *in, float *out);

#endif
