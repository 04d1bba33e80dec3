#include "to_image.h"

#include <string.h>

/* C99 leaves this to the implementation. */
typedef char to_image_assert_arithmetic_shift[(INT32_C(-3) >> 1) == -2 ? 1 : -1];

enum {
    ONE = 1 << 16, /* of fractions and luma weights */
    BATCH = 16     /* pixels that are read at a time */
};

static uint8_t clamp_20(int32_t x) {
    const int32_t value = x >> 20;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Some pixels of a row of the crop: those at positions[i] + next, or next + i without positions, but none
 * after `last`. These and the next structs are copies, which the bytes that are written cannot change. */
typedef struct {
    const uint8_t *row; /* of the source, from the crop on */
    const uint16_t *positions;
    int32_t next;
    int32_t last;
    int32_t count;
} span;

static inline int32_t position(const span *s, int32_t i) {
    const int32_t x = (s->positions != NULL ? s->positions[i] : i) + s->next;
    return x < s->last ? x : s->last;
}

/* How a level or a colour becomes the model's channels. */
typedef struct {
    int32_t channels;
    int32_t red_channel;
    int32_t luma[3];
} target;

static target target_of(const to_image_config *config) {
    const int32_t *luma = config->luma;
    return (target){config->channels, config->red_channel, {luma[0], luma[1], luma[2]}};
}

static inline uint8_t *put_colour(const target *t, int32_t red, int32_t green, int32_t blue, uint8_t *out) {
    if (t->channels == 1) {
        out[0] = (uint8_t)((t->luma[0] * red + t->luma[1] * green + t->luma[2] * blue + ONE / 2) >> 16);
        return out + 1;
    }
    out[t->red_channel] = (uint8_t)red;
    out[1] = (uint8_t)green;
    out[2 - t->red_channel] = (uint8_t)blue;
    return out + 3;
}

static void read_grey(const to_image_config *config, span s, uint8_t *out) {
    const int32_t channels = config->channels;
    for (int32_t i = 0; i < s.count; i++) {
        const uint8_t level = s.row[position(&s, i)];
        out[0] = level;
        if (channels != 1) {
            out[1] = level;
            out[2] = level;
        }
        out += channels;
    }
}

static void read_colours(const to_image_config *config, span s, uint8_t *out) {
    const target t = target_of(config);
    const int32_t size = config->pixel_bytes, red = config->red, green = config->green, blue = config->blue;
    for (int32_t i = 0; i < s.count; i++) {
        const uint8_t *pixel = s.row + position(&s, i) * size;
        out = put_colour(&t, pixel[red], pixel[green], pixel[blue], out);
    }
}

static void read_rgb565(const to_image_config *config, span s, uint8_t *out) {
    const target t = target_of(config);
    const int32_t upper = config->red, lower = config->blue;
    for (int32_t i = 0; i < s.count; i++) {
        const uint8_t *pixel = s.row + 2 * position(&s, i);
        const int32_t bits = pixel[upper] << 8 | pixel[lower];
        const int32_t red = bits >> 11, green = bits >> 5 & 63, blue = bits & 31;
        out = put_colour(&t, red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2, out);
    }
}

/* A pair of pixels is Y U Y V. The crop may begin at the second one of a pair. */
static void read_yuyv(const to_image_config *config, span s, uint8_t *out) {
    const target t = target_of(config);
    const int32_t *yuv = config->yuv;
    const int32_t offset = yuv[0], scale = yuv[1], first = config->crop_left;
    for (int32_t i = 0; i < s.count; i++) {
        const int32_t x = position(&s, i);
        const int32_t odd = (x ^ first) & 1;
        const uint8_t *pair = s.row + 2 * (x - odd);
        const int32_t luma = (pair[2 * odd] - offset) * scale + (1 << 19);
        if (t.channels == 1) {
            *out++ = clamp_20(luma);
            continue;
        }
        const int32_t u = pair[1] - 128, v = pair[3] - 128;
        out = put_colour(&t, clamp_20(luma + yuv[2] * v), clamp_20(luma + yuv[3] * u + yuv[4] * v),
                         clamp_20(luma + yuv[5] * u), out);
    }
}

/* [count][channels] levels of the pixels positions[i] + next, or next + i, in the model's channels. */
static void read_pixels(const to_image_config *config, const uint8_t *row, const uint16_t *positions,
                        int32_t next, int32_t count, uint8_t *out) {
    const span s = {row, positions, next, config->crop_width - 1, count};
    if (config->packing == TO_IMAGE_RGB565) {
        read_rgb565(config, s, out);
    } else if (config->packing == TO_IMAGE_YUYV) {
        read_yuyv(config, s, out);
    } else if (config->pixel_bytes == 1) {
        read_grey(config, s, out);
    } else {
        read_colours(config, s, out);
    }
}

/* Between two pixels, times 2^8. */
static void line_bilinear(const to_image_config *config, const uint8_t *row, uint16_t *restrict line) {
    const int32_t channels = config->channels;
    uint8_t left[3 * BATCH], right[3 * BATCH];
    for (int32_t first = 0; first < config->fit_width; first += BATCH) {
        const int32_t count = config->fit_width - first < BATCH ? config->fit_width - first : BATCH;
        const uint16_t *fraction = config->column_fraction + first;
        read_pixels(config, row, config->column + first, 0, count, left);
        read_pixels(config, row, config->column + first, 1, count, right);
        for (int32_t k = 0; k < channels; k++) {
            for (int32_t i = 0, j = k; i < count; i++, j += channels) {
                const uint32_t weight = fraction[i];
                line[j] = (uint16_t)((left[j] * (ONE - weight) + right[j] * weight + 128) >> 8);
            }
        }
        line += count * channels;
    }
}

/* The sums of channel `channel`: a pixel of the crop has the weight fit_width, divided between the outputs
 * that it lies in; an output has the weight crop_width, of which `missing` are missing at the first pixel.
 * Returns what is missing after the last, *line being the first output that is not complete. */
static int32_t add_pixels(const to_image_config *config, const uint8_t *pixel, int32_t count, int32_t missing,
                          uint32_t **line) {
    const int32_t channels = config->channels, whole = config->fit_width, full = config->crop_width;
    uint32_t *out = *line;
    uint32_t sum = missing == full ? 0 : *out;
    for (int32_t i = 0; i < count; i++, pixel += channels) {
        const uint32_t level = *pixel;
        int32_t rest = whole;
        for (; rest >= missing; missing = full) {
            *out = sum + (uint32_t)missing * level;
            out += channels;
            sum = 0;
            rest -= missing;
        }
        sum += (uint32_t)rest * level;
        missing -= rest;
    }
    if (missing != full) {
        *out = sum;
    }
    *line = out;
    return missing;
}

static void line_area(const to_image_config *config, const uint8_t *row, uint32_t *line) {
    uint8_t levels[3 * BATCH];
    int32_t missing = config->crop_width;
    for (int32_t first = 0; first < config->crop_width; first += BATCH) {
        const int32_t count = config->crop_width - first < BATCH ? config->crop_width - first : BATCH;
        int32_t after = missing;
        uint32_t *end = line;
        read_pixels(config, row, NULL, first, count, levels);
        for (int32_t k = 0; k < config->channels; k++) {
            end = line + k;
            after = add_pixels(config, levels + k, count, missing, &end);
        }
        line = end - (config->channels - 1);
        missing = after;
    }
}

/* Levels [width][channels] become stored values, from the last to the first as these may be longer. */
static void store(const to_image_config *config, uint8_t *frame) {
    const uint8_t *table = config->table;
    const int32_t size = config->element_size, channels = config->channels, step = config->table_step;
    for (int32_t i = config->width * channels, channel = 0; i-- > 0;) {
        channel = (channel == 0 ? channels : channel) - 1;
        const int32_t entry = channel * step + frame[i];
        if (size == 1) {
            frame[i] = table[entry];
        } else if (size == 2) {
            memcpy(frame + 2 * i, table + 2 * entry, 2);
        } else {
            memcpy(frame + 4 * i, table + 4 * entry, 4);
        }
    }
}

static void fill(const to_image_config *config, uint8_t *levels, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        for (int32_t k = 0; k < config->channels; k++) {
            *levels++ = config->fill[k];
        }
    }
}

/* Whether all is there of which row `y` of the crop's image is made. */
static bool is_ready(const to_image_config *config, const to_image *state, int32_t y) {
    if (config->method == TO_IMAGE_AREA) {
        return state->missing == 0;
    }
    const bool between = config->method == TO_IMAGE_BILINEAR && config->row_fraction[y] != 0;
    return state->row >= config->row[y] + (between ? 1 : 0);
}

/* The levels of row `y` of the crop's image, for which all is there. */
static void finish(const to_image_config *config, const to_image *state, int32_t y,
                   uint8_t *restrict levels) {
    const int32_t length = config->fit_width * config->channels;
    if (config->method == TO_IMAGE_NEAREST) {
        memcpy(levels, state->line, (size_t)length);
    } else if (config->method == TO_IMAGE_BILINEAR) {
        const uint16_t *lines = state->line;
        const int32_t odd = config->row[y] & 1;
        const uint16_t *above = lines + odd * length, *below = lines + (odd ^ 1) * length;
        const uint32_t weight = config->row_fraction[y];
        below = weight != 0 ? below : above;
        for (int32_t i = 0; i < length; i++) { /* at most 2^32 - 2^23 */
            levels[i] = (uint8_t)((above[i] * (ONE - weight) + below[i] * weight + (1u << 23)) >> 24);
        }
    } else {
        const uint32_t area = (uint32_t)config->crop_width * (uint32_t)config->crop_height;
        for (int32_t i = 0; i < length; i++) { /* at most 255.5 * 2^24 */
            levels[i] = (uint8_t)((state->sum[i] + area / 2) / area);
        }
    }
}

/* Moves weight of the line to the sum. */
static void add_line(const to_image_config *config, to_image *state) {
    const int32_t weight = state->rest < state->missing ? state->rest : state->missing;
    const bool first = state->missing == config->crop_height;
    const uint32_t *line = state->line;
    if (weight == 0) {
        return;
    }
    for (int32_t i = 0; i < config->fit_width * config->channels; i++) {
        state->sum[i] = (first ? 0 : state->sum[i]) + (uint32_t)weight * line[i];
    }
    state->rest -= weight;
    state->missing -= weight;
}

void to_image_init(const to_image_config *config, to_image *state) {
    state->pushed = 0;
    state->row = -1;
    state->pulled = 0;
    state->rest = 0;
    state->missing = config->crop_height;
}

void to_image_push(const to_image_config *config, to_image *state, const uint8_t *row) {
    if (state->pushed == config->height) {
        to_image_init(config, state);
    }
    const int32_t y = state->pushed - config->crop_top;
    const int32_t next = state->pulled - config->fit_top;
    state->pushed++;
    if (y < 0 || next >= config->fit_height) {
        return;
    }
    state->row = y;
    row += config->crop_left * config->pixel_bytes;
    if (config->method == TO_IMAGE_AREA) {
        line_area(config, row, state->line);
        state->rest = config->fit_height;
    } else if (y < config->row[next < 0 ? 0 : next]) {
        return; /* no output is made of it */
    } else if (config->method == TO_IMAGE_BILINEAR) {
        line_bilinear(config, row, (uint16_t *)state->line + (y & 1) * config->fit_width * config->channels);
    } else {
        read_pixels(config, row, config->column, 0, config->fit_width, state->line);
    }
}

bool to_image_pull(const to_image_config *config, to_image *state, void *frame) {
    const int32_t y = state->pulled - config->fit_top;
    uint8_t *levels = frame;
    if (state->pushed == 0 || state->pulled == config->height_out) {
        return false;
    }
    if (y < 0 || y >= config->fit_height) {
        fill(config, levels, config->width);
    } else {
        if (config->method == TO_IMAGE_AREA) {
            add_line(config, state);
        }
        if (!is_ready(config, state, y)) {
            return false;
        }
        const int32_t right = config->fit_left + config->fit_width;
        fill(config, levels, config->fit_left);
        finish(config, state, y, levels + config->fit_left * config->channels);
        fill(config, levels + right * config->channels, config->width - right);
        state->missing = config->crop_height;
    }
    store(config, levels);
    state->pulled++;
    return true;
}
