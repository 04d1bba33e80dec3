/* CoAP over UDP on sockets: IPv6, IPv4, or both on one socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "tinyops/to_port.h"

static int opened = -1;
static int companion = -1;
static sa_family_t family;

uint64_t to_port_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

void to_port_random(uint8_t *bytes, size_t n) {
    static int source = -1;
    if (source < 0) {
        source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    }
    while (n > 0) {
        ssize_t count = read(source, bytes, n);
        if (count > 0) {
            bytes += count;
            n -= (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            host_fail("/dev/urandom", "cannot be read");
        }
    }
}

static socklen_t to_address(const to_endpoint *endpoint, struct sockaddr_storage *storage) {
    memset(storage, 0, sizeof *storage);
    if (endpoint->kind == TO_ENDPOINT_IPV4) {
        struct sockaddr_in *address = (struct sockaddr_in *)(void *)storage;
        address->sin_family = AF_INET;
        memcpy(&address->sin_addr, endpoint->address, 4);
        memcpy(&address->sin_port, endpoint->port, 2);
        return sizeof *address;
    }
    struct sockaddr_in6 *address = (struct sockaddr_in6 *)(void *)storage;
    address->sin6_family = AF_INET6;
    memcpy(&address->sin6_addr, endpoint->address, 16);
    memcpy(&address->sin6_port, endpoint->port, 2);
    memcpy(&address->sin6_scope_id, endpoint->scope, 4);
    return sizeof *address;
}

static int from_address(to_endpoint *endpoint, const struct sockaddr *address) {
    memset(endpoint, 0, sizeof *endpoint);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)(const void *)address;
        endpoint->kind = TO_ENDPOINT_IPV4;
        memcpy(endpoint->address, &ipv4->sin_addr, 4);
        memcpy(endpoint->port, &ipv4->sin_port, 2);
        return 1;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)(const void *)address;
        endpoint->kind = TO_ENDPOINT_IPV6;
        memcpy(endpoint->address, &ipv6->sin6_addr, 16);
        memcpy(endpoint->port, &ipv6->sin6_port, 2);
        memcpy(endpoint->scope, &ipv6->sin6_scope_id, 4);
        return 1;
    }
    return 0;
}

static struct addrinfo *look_up(const char *host, const char *port, int family_wanted, int flags) {
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = family_wanted;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    return getaddrinfo(host, port, &hints, &found) == 0 ? found : NULL;
}

int to_port_resolve(const char *host, uint16_t port, to_endpoint *endpoint) {
    char service[6];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo *found = look_up(host, service, family, family == AF_INET6 ? AI_V4MAPPED : 0);
    int taken = found != NULL && from_address(endpoint, found->ai_addr);
    if (found != NULL) {
        freeaddrinfo(found);
    }
    return taken ? 0 : -1;
}

/* HOST:PORT, [HOST]:PORT or :PORT, taken apart in place. */
static int split(char *text, const char **host, const char **port) {
    char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0') {
        return 0;
    }
    *colon = '\0';
    *port = colon + 1;
    *host = text;
    if (*text == '[') {
        if (colon == text + 1 || colon[-1] != ']') {
            return 0;
        }
        colon[-1] = '\0';
        *host = text + 1;
    } else if (strchr(text, ':') != NULL) {
        return 0;
    }
    return 1;
}

static void say_where(void) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN + 32], port[8];
    if (getsockname(opened, (struct sockaddr *)&address, &length) == 0 &&
        getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        printf(family == AF_INET6 ? "listening on coap://[%s]:%s\n" : "listening on coap://%s:%s\n", host,
               port);
        fflush(stdout);
    }
}

void host_udp_open(const char *address) {
    char text[128];
    const char *host = "", *port = "";
    if (strlen(address) >= sizeof text || !split(strcpy(text, address), &host, &port)) {
        host_fail(address, "is no address; allowed: [HOST]:PORT");
    }
    struct addrinfo *found = look_up(*host != '\0' ? host : "::", port, AF_UNSPEC, AI_PASSIVE);
    if (found == NULL) {
        host_fail(address, "no such address");
        return;
    }
    family = (sa_family_t)found->ai_family;
    opened = socket(found->ai_family, SOCK_DGRAM, 0);
    int both = 0;
    if (opened < 0 ||
        (*host == '\0' && setsockopt(opened, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both) != 0) ||
        bind(opened, found->ai_addr, found->ai_addrlen) != 0) {
        host_fail(address, strerror(errno));
    }
    freeaddrinfo(found);
    say_where();
}

void to_port_send(const to_endpoint *to, const uint8_t *message, size_t length) {
    struct sockaddr_storage address;
    socklen_t size = to_address(to, &address);
    if (host_faults_lose()) {
        return;
    }
    while (sendto(opened, message, length, 0, (struct sockaddr *)&address, size) < 0 && errno == EINTR) {
    }
    if (host_faults_double()) {
        (void)sendto(opened, message, length, 0, (struct sockaddr *)&address, size);
    }
}

void host_end_with(int descriptor) { companion = descriptor; }

size_t host_udp_receive(to_endpoint *from, uint8_t *message, size_t capacity, uint64_t deadline) {
    uint64_t now = to_port_now_ms();
    uint64_t wait = deadline > now ? deadline - now : 0;
    struct pollfd waited[] = {{opened, POLLIN, 0}, {companion, 0, 0}}; /* a hang-up is told in any case */
    if (poll(waited, 2, wait < 60000 ? (int)wait : 60000) <= 0) {
        return 0;
    }
    if (waited[1].revents != 0) {
        to_port_exit(0);
    }
    if (waited[0].revents == 0) {
        return 0;
    }
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    ssize_t length = recvfrom(opened, message, capacity, 0, (struct sockaddr *)&address, &size);
    if (length <= 0 || host_faults_lose() || (size_t)length == capacity ||
        !from_address(from, (struct sockaddr *)&address)) {
        return 0; /* nothing, or more than a message may have */
    }
    return (size_t)length;
}
