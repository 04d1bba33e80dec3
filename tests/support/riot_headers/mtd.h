/* RIOT's memory technology devices. */
#ifndef MTD_H
#define MTD_H

#include <stdint.h>

typedef struct {
    uint32_t sector_count;
    uint32_t pages_per_sector;
    uint32_t page_size;
    uint32_t write_size;
} mtd_dev_t;

unsigned mtd_numof(void);
#define MTD_NUMOF mtd_numof()

mtd_dev_t *mtd_dev_get(unsigned idx);

/* All return 0, or a negative number. */
int mtd_init(mtd_dev_t *mtd);
int mtd_read(mtd_dev_t *mtd, void *dest, uint32_t addr, uint32_t count);
int mtd_write(mtd_dev_t *mtd, const void *src, uint32_t addr, uint32_t count);
int mtd_erase(mtd_dev_t *mtd, uint32_t addr, uint32_t count);

#endif
