#include "thread.h"
#include "auto_init_utils.h"
#include "tinyops.h"

static char stack[CONFIG_TINYOPS_STACK_BYTES];

static void *serve(void *context) {
    (void)context;
    tinyops_measure_stack(sizeof stack);
    tinyops_serve();
    return NULL;
}

static void start_tinyops_thread(void) {
    thread_create(stack, sizeof stack, CONFIG_TINYOPS_PRIORITY, 0, serve, NULL, "tinyops");
}

/* Behind what it may use: networks, storage. */
AUTO_INIT(start_tinyops_thread, 2000);
