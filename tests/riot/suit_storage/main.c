/* RIOT's SUIT module with a model: commands on the console. */
#include <stdio.h>
#include <string.h>

#include "fmt.h"
#include "msg.h"
#include "shell.h"
#include "suit/transport/worker.h"
#include "tinyops_suit_storage.h"

static int fetch(int count, char **words) {
    if (count != 2) {
        return 1;
    }
    int result = suit_handle_url(words[1]);
    tinyops_suit_storage_done(result);
    printf("fetched %d\n", result);
    return 0;
}

/* One inference on the input that is given in hexadecimal digits, at a boundary of inferences. */
static int infer(int count, char **words) {
    const to_model *model = &to_device_model;
    const to_tensor_info *input = &model->inputs[0], *output = &model->outputs[0];
    if (count != 2 || strlen(words[1]) != 2 * input->bytes) {
        return 1;
    }
    int changed = tinyops_suit_storage_poll();
    fmt_hex_bytes(model->arena + input->offset, words[1]);
    model->invoke(model->arena, model->state);
    tinyops_suit_storage_inference_done();
    printf("output ");
    for (uint32_t i = 0; i < output->bytes; i++) {
        printf("%02x", model->arena[output->offset + i]);
    }
    printf(" %s\n", changed ? "changed" : "same");
    return 0;
}

static int status(int count, char **words) {
    tinyops_suit_storage_status s;
    (void)count;
    (void)words;
    tinyops_suit_storage_get_status(&s);
    printf("status accepted=%u sequence=%u attempt=%u health=%u bank=%u state=%u usable=%u reason=%d\n",
           (unsigned)s.accepted, (unsigned)s.sequence, (unsigned)s.attempt, (unsigned)s.health_left, s.bank,
           s.state, s.usable, (int)s.reason);
    return 0;
}

SHELL_COMMAND(fetch, "carry a manifest out", fetch);
SHELL_COMMAND(infer, "an inference", infer);
SHELL_COMMAND(status, "what runs", status);

int main(void) {
    static msg_t queue[8];
    char line[256];
    msg_init_queue(queue, 8);
    suit_storage_init_all();
    puts("ready");
    shell_run(NULL, line, sizeof line);
    return 0;
}
