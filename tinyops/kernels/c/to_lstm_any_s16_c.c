#include "to_lstm_any_s16_c.h"

void to_lstm_any_s16_c(const to_lstm_params *p, const int16_t *in, const int8_t *weights, const int64_t *bias,
                       const int16_t *table, const int16_t *hidden_in, const int16_t *cell_in,
                       int16_t *hidden, int16_t *cell, int16_t *out) {
    const to_lstm_layer layer = {p, weights, bias, table};
    to_lstm(&layer, in, hidden_in, cell_in, hidden, cell, out, 2);
}
