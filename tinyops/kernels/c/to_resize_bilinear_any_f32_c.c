#include "to_resize_bilinear_any_f32_c.h"

/* The two neighbours of a position, and the weight of the upper; that of the lower is 1 less it. */
typedef struct {
    int32_t lower;
    int32_t upper;
    float weight;
} neighbours;

/* `at`: output row or column, of an axis with `size` inputs. */
static neighbours around(const to_resize_bilinear_f32_params *p, int32_t at, float scale, int32_t size) {
    const float place = p->half_pixel_centers ? ((float)at + 0.5f) * scale - 0.5f : (float)at * scale;
    neighbours n = {place > 0.0f ? (int32_t)place : 0, 0, 0.0f};
    if (n.lower >= size) {
        n.lower = size - 1;
    }
    n.weight = place - (float)n.lower;
    n.upper = n.weight > 0.0f && n.lower + 1 < size ? n.lower + 1 : n.lower;
    return n;
}

void to_resize_bilinear_any_f32_c(const to_resize_bilinear_f32_params *p, const float *in, float *out) {
    const int32_t row = p->in_w * p->channels;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * row) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const neighbours v = around(p, y, p->scale_h, p->in_h);
            const float *upper = in + v.lower * row;
            const float *lower = in + v.upper * row;
            for (int32_t x = 0; x < p->out_w; x++) {
                const neighbours h = around(p, x, p->scale_w, p->in_w);
                const int32_t left = h.lower * p->channels;
                const int32_t right = h.upper * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    const float l = upper[left + c] * (1.0f - v.weight) + lower[left + c] * v.weight;
                    const float r = upper[right + c] * (1.0f - v.weight) + lower[right + c] * v.weight;
                    *out++ = l * (1.0f - h.weight) + r * h.weight;
                }
            }
        }
    }
}
