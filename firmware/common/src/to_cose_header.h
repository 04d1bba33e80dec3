/* Headers of COSE messages, for the files to_cose*.c alone. */
#ifndef TINYOPS_TO_COSE_HEADER_H
#define TINYOPS_TO_COSE_HEADER_H

#include "tinyops/to_cose.h"

#define TO_COSE_HEADERS_MAX 8u /* parameters of one message part, protected and not */

/* Both header maps of one part of a message. */
typedef struct to_cose_header {
    to_span protected_item;    /* the protected byte string with its head, as it is signed */
    to_span protected_content; /* of no bytes when nothing is protected */
    to_span kid;               /* bytes is NULL when there is none */
    to_span iv;
    to_span ephemeral; /* a COSE_Key: the encoded map */
    int32_t algorithm; /* 0: none */
    uint8_t algorithm_protected;
    uint8_t count;
    to_span labels[TO_COSE_HEADERS_MAX]; /* seen so far: each may occur once */
} to_cose_header;

/* Reads the protected byte string and the unprotected map. */
void to_cose_read_header(to_cbor_reader *reader, to_cose_header *header);

#endif
