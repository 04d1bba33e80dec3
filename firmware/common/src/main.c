#include "tinyops/to_device.h"
#include "tinyops/to_port.h"

static to_device device;

int main(void) {
    to_port_init();
    to_device_start(&device, &to_device_model);
    to_device_run(&device);
    to_port_exit(0);
    return 0;
}
