#include "host.h"
#include "tinyops/to_port.h"
#include "workload.h"

#ifdef TO_UPDATABLE
#include "tinyops/to_pull.h"
#endif

static to_device device;
host_options host_given;

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

#ifdef TO_UPDATABLE

static to_pull pull;
static to_pull_settings settings;

#ifdef TO_OSCORE
static to_fetch_security security;
static to_oscore_client check_in;
#endif

static to_reason trigger(void *context, const uint8_t *uri, uint32_t length) {
    return to_pull_trigger(context, uri, length);
}

static void start_pull(void) {
    settings.server = host_given.server;
    settings.check_in_seconds = host_given.check_in_seconds;
    settings.device_id = host_given.id;
    settings.device_id_bytes = host_given.id_bytes;
    settings.class_id = to_device_update.class_id;
    settings.version = TINYOPS_VERSION;
    settings.link.ack_timeout_ms = (uint16_t)host_given.ack_timeout_ms;
    settings.link.max_retransmit = 4;
    settings.link.szx = host_given.szx;
    settings.link.response_seconds = 30;
#ifdef TO_OSCORE
    if (device.oscore_count > 0) {
        to_oscore_secure(&security, &check_in, &device.oscore[0]);
        settings.security = &security;
    }
#endif
    to_pull_start(&pull, device.update, &settings);
    device.take_response = to_pull_receive;
    device.take_response_context = &pull;
    device.trigger = trigger;
    device.trigger_context = &pull;
}

static uint64_t poll_pull(void) { return to_pull_poll(&pull); }

#else

static void start_pull(void) {}
static uint64_t poll_pull(void) { return UINT64_MAX; }

#endif

/* When the next inference of its own is due. */
static uint64_t poll_workload(void) {
    static uint64_t due;
    uint64_t now = to_port_now_ms();
    if (host_given.infer_ms == 0) {
        return UINT64_MAX;
    }
    if (now >= due) {
        due = now + host_given.infer_ms;
        host_workload_infer(&device);
    }
    return due;
}

/* Room for the largest block there is: one that is too large for the device is answered, too. */
#define DATAGRAM_MAX (1024u + 100u)

static void serve_udp(void) {
    static uint8_t message[DATAGRAM_MAX + 1];
    to_endpoint from;
    start_pull();
    for (;;) {
        uint64_t next = sooner(sooner(to_device_poll(&device), poll_pull()), poll_workload());
        size_t length = host_udp_receive(&from, message, sizeof message, next);
        if (length > 0) {
            to_device_datagram(&device, &from, message, length);
        }
    }
}

int main(int argc, char **argv) {
    host_read_options(&host_given, argc, argv);
    host_faults_start(&host_given.faults);
    to_port_init();
#ifdef TO_UPDATABLE
    host_flash_open(host_given.flash);
    if (host_given.firmware != NULL) {
        host_firmware_open(host_given.firmware);
    }
#endif
    if (host_given.udp != NULL) {
        host_plain_console();
        host_udp_open(host_given.udp);
    }
    to_device_start(&device, &to_device_model);
#ifdef TO_OSCORE
    device.oscore = host_oscore_contexts(&device.oscore_count);
#endif
    if (host_given.udp != NULL) {
        serve_udp();
    }
    to_device_run(&device);
    to_port_exit(0);
    return 0;
}
