/* A model in a RIOT application.
 *
 * The application's own code, clients and updates share one model: its arena holds the inputs, the outputs
 * and everything in between. So whoever uses it holds the lock. An inference from application code:
 *
 *   const void *inputs[] = {samples};
 *   void *outputs[] = {scores};
 *   if (tinyops_infer(inputs, outputs) == 0) { ... }
 *
 * or in place, without copies:
 *
 *   tinyops_lock();
 *   if (tinyops_is_free()) {
 *       fill(tinyops_input(0));
 *       tinyops_invoke();
 *       read(tinyops_output(0));
 *   }
 *   tinyops_unlock();
 *
 * Requests are served by a thread (module tinyops_thread, which the links use by default), or by whichever
 * thread calls tinyops_serve when that module is disabled. */
#ifndef TINYOPS_H
#define TINYOPS_H

#include "event.h"
#include "tinyops/to_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The only device; to be touched with the lock alone. */
extern to_device tinyops_device;

/* May be taken again by the thread that has it. The first one starts the device: state gets its initial
 * value, and updatable firmware decides which model runs. Not from interrupts. */
void tinyops_lock(void);
void tinyops_unlock(void);

/* The rest wants the lock. */

/* Whether no client's inference is under way, whose inputs or outputs are in the arena. One that stands still
 * for CONFIG_TINYOPS_PATIENCE_MS is ended. */
int tinyops_is_free(void);

/* Where the tensor's bytes are, in the arena. */
void *tinyops_input(uint8_t index);
const void *tinyops_output(uint8_t index);

/* Runs the model once; outputs overwrite inputs where the plan of memory has it so. */
void tinyops_invoke(void);

/* State gets its initial value. */
void tinyops_reset(void);

/* All inputs in, all outputs out, in the order of the model; takes the lock. 0, or -EBUSY when a client's
 * inference is under way: try again later. */
int tinyops_infer(const void *const *inputs, void *const *outputs);

/* Serving */

/* Events whose handlers are called with the lock, in the thread that serves. */
extern event_queue_t tinyops_queue;

/* From now on the deepest use of the calling thread's stack is measured, for GET /profile; it has `bytes`. */
void tinyops_measure_stack(size_t bytes);

/* Serves for ever. */
void tinyops_serve(void);

/* A carrier of datagrams to the endpoints of some kinds (to_endpoint.h). */
typedef struct tinyops_link {
    struct tinyops_link *next;
    uint8_t first_kind, last_kind;
    void (*send)(const to_endpoint *to, const uint8_t *message, size_t length); /* with the lock */
} tinyops_link;

/* Before the first datagram comes by it. */
void tinyops_add_link(tinyops_link *link);

#ifdef __cplusplus
}
#endif

#endif
