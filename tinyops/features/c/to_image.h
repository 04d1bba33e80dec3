/* Pictures from a camera, row by row, cropped, resized, converted and normalized to the rows of a model's
 * input. The formulas are in tinyops/features/image.py and pixels.py, whose results these are bit for bit.
 * All constants come from there. */
#ifndef TO_IMAGE_H
#define TO_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TO_IMAGE_BYTES, TO_IMAGE_RGB565, TO_IMAGE_YUYV };     /* packing */
enum { TO_IMAGE_NEAREST, TO_IMAGE_BILINEAR, TO_IMAGE_AREA }; /* method */

typedef struct {
    int32_t height; /* rows of a source picture */
    int32_t packing;
    int32_t pixel_bytes;      /* 1: grey, 3: colours; 2 for the other packings */
    int32_t red, green, blue; /* offsets of the bytes of a pixel; RGB565: `red` is that of the upper byte */
    const int32_t *luma;      /* [3], weights of red, green, blue in grey: 2^16 in sum */
    const int32_t *yuv; /* [6], offset of Y; factors of Y, V in red, U and V in green, U in blue, times 2^20;
                           YUYV alone */
    int32_t crop_left, crop_top, crop_width, crop_height; /* of the source; at most 2^24 pixels */
    int32_t method;
    const uint16_t *column, *row;                     /* [fit_width], [fit_height], positions in the crop */
    const uint16_t *column_fraction, *row_fraction;   /* times 2^16; bilinear alone */
    int32_t width, height_out, channels;              /* of the model's input; 1 or 3 channels */
    int32_t fit_left, fit_top, fit_width, fit_height; /* where in there the crop is; the rest is filled */
    const uint8_t *fill;                              /* [channels] */
    int32_t red_channel;                              /* of a model's 3: 0, or 2 for blue, green, red */
    const void *table;    /* [256] stored values, for all channels or (table_step 256) for each */
    int32_t table_step;   /* 0 or 256 */
    int32_t element_size; /* of a stored value: 1, 2 or 4 bytes */
} to_image_config;

typedef struct {
    void *line;      /* [fit_width][channels]: nearest uint8; bilinear uint16, two of them; area uint32 */
    uint32_t *sum;   /* [fit_width][channels]: area alone */
    int32_t pushed;  /* rows of the picture */
    int32_t row;     /* of the crop, in the line; -1 before the first */
    int32_t pulled;  /* rows of the output */
    int32_t rest;    /* area: what is left of the line's weight */
    int32_t missing; /* area: the weight that the sum lacks */
} to_image;

/* Start of a picture; the pointers in `state` are set before. The next picture starts by itself. */
void to_image_init(const to_image_config *config, to_image *state);

/* Takes a row of the source. To be followed by to_image_pull until that is false. */
void to_image_push(const to_image_config *config, to_image *state, const uint8_t *row);

/* True when `frame` [width][channels] of stored values was written: the next row of the model's input. */
bool to_image_pull(const to_image_config *config, to_image *state, void *frame);

#ifdef __cplusplus
}
#endif

#endif
