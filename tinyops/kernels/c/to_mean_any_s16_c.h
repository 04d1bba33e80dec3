/* MEAN and SUM, int16, over any axes; generic C. */
#ifndef TINYOPS_TO_MEAN_ANY_S16_C_H
#define TINYOPS_TO_MEAN_ANY_S16_C_H

#include "to_mean_any_s8_c.h"

/* out: int16[kept_extents[0]][kept_extents[1]][kept_extents[2]]; zero points are 0.
 * Bound: fewer than 2^16 elements make one output, so |sum| < 2^31.
 * Canonical order: outputs are stored in ascending order, each after all that it needs was read, so `out` may
 * overlap `in` as far as Operator.overlap allows. */
void to_mean_any_s16_c(const to_mean_s8_params *p, const int16_t *in, int16_t *out);

#endif
