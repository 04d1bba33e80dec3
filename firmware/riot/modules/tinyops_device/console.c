/* Console text without frames, where there is no line that carries both. */
#include "fmt.h"
#include "tinyops/to_slipmux.h"

void to_slipmux_send_text(const char *const *texts) {
    for (; *texts != NULL; texts++) {
        print_str(*texts);
    }
}
