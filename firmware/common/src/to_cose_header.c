#include "to_cose_header.h"

#include <string.h>

/* RFC 9052, 3.1; RFC 9053, 6.3.1. */
enum { LABEL_ALG = 1, LABEL_CRIT = 2, LABEL_KID = 4, LABEL_IV = 5, LABEL_EPHEMERAL = -1 };

static void remember(to_cbor_reader *reader, to_cose_header *header, to_span label) {
    for (uint32_t i = 0; i < header->count; i++) {
        if (to_span_equal(header->labels[i], label)) {
            to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        }
    }
    if (header->count == TO_COSE_HEADERS_MAX) {
        to_cbor_fail(reader, TO_REASON_TOO_LARGE);
    } else {
        header->labels[header->count++] = label;
    }
}

/* One parameter. Unknown ones are passed over, as RFC 9052 asks; critical ones are refused. */
static void read_parameter(to_cbor_reader *reader, to_cose_header *header, int is_protected) {
    to_cbor_reader at_label = *reader;
    remember(reader, header, to_cbor_skip(reader));
    to_cbor_type type = to_cbor_next(&at_label);
    int32_t label = type <= TO_CBOR_NEGATIVE ? to_cbor_get_int(&at_label) : 0;
    switch (label) {
    case LABEL_ALG:
        header->algorithm = to_cbor_get_int(reader);
        header->algorithm_protected = (uint8_t)is_protected;
        break;
    case LABEL_CRIT:
        to_cbor_fail(reader, TO_REASON_UNSUPPORTED);
        break;
    case LABEL_KID:
        header->kid = to_cbor_get_bytes(reader);
        break;
    case LABEL_IV:
        header->iv = to_cbor_get_bytes(reader);
        break;
    case LABEL_EPHEMERAL:
        header->ephemeral = to_cbor_skip(reader);
        break;
    default:
        (void)to_cbor_skip(reader);
    }
}

static void read_map(to_cbor_reader *reader, to_cose_header *header, int is_protected) {
    for (uint32_t n = to_cbor_get_map(reader); n > 0 && reader->error == TO_REASON_OK; n--) {
        read_parameter(reader, header, is_protected);
    }
}

void to_cose_read_header(to_cbor_reader *reader, to_cose_header *header) {
    memset(header, 0, sizeof *header);
    const uint8_t *start = reader->at;
    header->protected_content = to_cbor_get_bytes(reader);
    header->protected_item = to_span_of(start, (uint32_t)(reader->at - start));
    if (header->protected_content.size > 0) {
        to_cbor_reader content;
        to_cbor_read(&content, header->protected_content);
        read_map(&content, header, 1);
        to_reason reason = to_cbor_done(&content);
        if (reason != TO_REASON_OK) {
            to_cbor_fail(reader, reason);
        }
    }
    read_map(reader, header, 0);
}
