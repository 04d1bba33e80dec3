/* The firmware as a process: on standard input and output, or on UDP. */
#ifndef TINYOPS_HOST_H
#define TINYOPS_HOST_H

#include "faults.h"
#include "tinyops/to_device.h"
#include "tinyops/to_endpoint.h"

#define HOST_ID_MAX 32u

typedef struct {
    const char *udp;      /* [HOST]:PORT; NULL: standard input and output */
    const char *flash;    /* file that holds the flash region of updates; NULL: in memory */
    const char *firmware; /* file that updates may replace; NULL: none */
    const char *server;
    uint8_t id[HOST_ID_MAX];
    uint8_t id_bytes;
    uint32_t check_in_seconds;
    uint32_t ack_timeout_ms;
    uint32_t infer_ms; /* between inferences of its own; 0: none */
    uint8_t szx;
    host_faults faults;
} host_options;

/* Ends the process with status 2 and a message when an argument is wrong. */
void host_read_options(host_options *options, int argc, char **argv);

/* What host_read_options has read. */
extern host_options host_given;

/* Ends the process with status 1 and "error: WHERE: WHAT". */
void host_fail(const char *where, const char *what);

/* Reads a security context of OSCORE from a file; the first one protects check-ins. */
void host_oscore_add(const char *path);
to_oscore *host_oscore_contexts(uint8_t *number);

/* Opens the flash region of updates, in the file `path`, or in memory when it is NULL. */
void host_flash_open(const char *path);

#ifdef TO_UPDATABLE
/* Makes the file `path` a component of updates, "firmware". */
void host_firmware_open(const char *path);
void host_firmware_slot(to_update_port *port);
#endif

/* Console text goes to standard output as it is, not in frames beside messages. */
void host_plain_console(void);

/* The process ends when the other end of this pipe does, while it waits for datagrams. */
void host_end_with(int descriptor);

/* Binds the socket and says where. */
void host_udp_open(const char *address);

/* Waits for a datagram until `deadline` (to_port_now_ms) and stores it; its length, or 0. */
size_t host_udp_receive(to_endpoint *from, uint8_t *message, size_t capacity, uint64_t deadline);

#endif
