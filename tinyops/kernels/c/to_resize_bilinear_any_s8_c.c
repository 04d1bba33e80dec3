#include "to_resize_bilinear_any_s8_c.h"

enum { ONE = 1 << 10, HALF = 1 << 19 };

/* The two neighbours of a position and their weights, which add up to ONE. */
typedef struct {
    int32_t lower;
    int32_t upper;
    int32_t lower_weight;
    int32_t upper_weight;
} neighbours;

/* `place`: position in 1024ths, -512 or more and below size * ONE. */
static neighbours around(int32_t place, int32_t size) {
    neighbours n;
    n.lower = place > 0 ? place / ONE : 0;
    n.upper = (place + ONE - 1) / ONE;
    if (n.upper >= size) {
        n.upper = size - 1;
    }
    n.upper_weight = place - n.lower * ONE;
    n.lower_weight = ONE - n.upper_weight;
    return n;
}

/* Weights are -512 to 1536, so that sums stay below 2^30. */
void to_resize_bilinear_any_s8_c(const to_resize_bilinear_s8_params *p, const int8_t *in, int8_t *out) {
    const int32_t row = p->in_w * p->channels;
    for (int32_t b = 0; b < p->batches; b++, in += p->in_h * row) {
        for (int32_t y = 0; y < p->out_h; y++) {
            const neighbours v = around(y * p->scale_h + p->offset_h, p->in_h);
            const int8_t *upper = in + v.lower * row;
            const int8_t *lower = in + v.upper * row;
            for (int32_t x = 0; x < p->out_w; x++) {
                const neighbours h = around(x * p->scale_w + p->offset_w, p->in_w);
                const int32_t left = h.lower * p->channels;
                const int32_t right = h.upper * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    const int32_t l = upper[left + c] * v.lower_weight + lower[left + c] * v.upper_weight;
                    const int32_t r = upper[right + c] * v.lower_weight + lower[right + c] * v.upper_weight;
                    const int32_t sum = l * h.lower_weight + r * h.upper_weight;
                    *out++ = (int8_t)((sum + (sum > 0 ? HALF : -HALF)) / (ONE * ONE));
                }
            }
        }
    }
}
