#include "to_lstm_any_s8_c.h"

void to_lstm_any_s8_c(const to_lstm_params *p, const int8_t *in, const int8_t *weights, const int32_t *bias,
                      const int16_t *table, const int8_t *hidden_in, const int16_t *cell_in, int8_t *hidden,
                      int16_t *cell, int8_t *out) {
    const to_lstm_layer layer = {p, weights, bias, table};
    to_lstm(&layer, in, hidden_in, cell_in, hidden, cell, out, 1);
}
