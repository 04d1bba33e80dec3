/* What a device is there for: inferences on inputs of its own. */
#ifndef TINYOPS_HOST_WORKLOAD_H
#define TINYOPS_HOST_WORKLOAD_H

#include "tinyops/to_device.h"

/* Runs the model once on random inputs. */
void host_workload_infer(to_device *device);

#endif
