/* A model and nothing else: all that there is to do is to serve. */
#include "thread.h"
#include "tinyops.h"

int main(void) {
    tinyops_measure_stack(THREAD_STACKSIZE_MAIN);
    tinyops_serve();
    return 0;
}
