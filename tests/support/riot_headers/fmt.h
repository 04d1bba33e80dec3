/* RIOT's output of text. */
#ifndef FMT_H
#define FMT_H

void print_str(const char *text);

#endif
