/* What happens to a virtual device, drawn from a seed: datagrams are lost or arrive twice, the power is cut
 * in an operation of the flash. */
#ifndef TINYOPS_HOST_FAULTS_H
#define TINYOPS_HOST_FAULTS_H

#include <stdint.h>

#ifdef TO_UPDATABLE
#include "flash_file.h"
#endif

#define HOST_POWER_CUT 75 /* exit status of a process whose power was cut */

typedef struct {
    uint32_t seed;
    uint32_t loss;       /* of a million datagrams, in each direction */
    uint32_t duplicates; /* of a million */
    uint32_t cut_at;     /* operation of the flash in which the power is cut, counted from 1; 0: never */
} host_faults;

void host_faults_start(const host_faults *faults);

/* Whether the next datagram is lost, or goes twice. */
int host_faults_lose(void);
int host_faults_double(void);

#ifdef TO_UPDATABLE
/* The flash of `file`, in which the process ends at the cut. */
const to_flash *host_faults_flash(flash_file *file);
#endif

#endif
