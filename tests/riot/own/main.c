/* An application that has a resource of its own beside those of the model, and uses the model itself. */
#include <stdio.h>
#include <string.h>

#include "net/gcoap.h"
#include "tinyops.h"
#include "ztimer.h"

static uint32_t inferences;
static uint32_t refusals;

/* As fast as it gets to them, for half a second of each; the outputs must be those of its own inputs. */
static void infer(void) {
    static uint8_t data[1500], loops[8], sum[1500], total[8];
    const void *inputs[] = {data, loops};
    void *outputs[] = {sum, total};
    memset(data, (int)(inferences & 255u), sizeof data);
    if (tinyops_infer(inputs, outputs) != 0) {
        refusals++;
        return;
    }
    for (size_t i = 0; i < sizeof sum; i++) {
        if (sum[i] != (uint8_t)(data[i] + total[4])) {
            puts("the application's outputs are wrong");
        }
    }
    inferences++;
}

static ssize_t beside(coap_pkt_t *packet, uint8_t *buffer, size_t size, coap_request_ctx_t *context) {
    (void)context;
    gcoap_resp_init(packet, buffer, size, COAP_CODE_CONTENT);
    size_t header = coap_opt_finish(packet, COAP_OPT_FINISH_PAYLOAD);
    int length = snprintf((char *)packet->payload, packet->payload_len, "%u", (unsigned)inferences);
    return (ssize_t)header + length;
}

static const coap_resource_t resources[] = {{"/beside", COAP_GET, beside, NULL}};

int main(void) {
    static gcoap_listener_t listener = {.resources = resources, .resources_len = ARRAY_SIZE(resources)};
    gcoap_register_listener(&listener);
    puts("main: started");
    for (;;) {
        ztimer_sleep(ZTIMER_MSEC, WORKLOAD_MS);
        if (WORKLOAD_MS < 1000) {
            infer();
        }
    }
}
