#include "irq.h"
#include "tinyops.h"
#include "tinyops/to_port.h"

#ifdef TO_NETWORK

static tinyops_link *links;

void tinyops_add_link(tinyops_link *link) {
    unsigned state = irq_disable(); /* not the lock, which would start the device on the stack of auto_init */
    link->next = links;
    links = link;
    irq_restore(state);
}

void to_port_send(const to_endpoint *to, const uint8_t *message, size_t length) {
    for (const tinyops_link *link = links; link != NULL; link = link->next) {
        if (to->kind >= link->first_kind && to->kind <= link->last_kind) {
            link->send(to, message, length);
            return;
        }
    }
}

#endif
