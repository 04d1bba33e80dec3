/* Xtensa (ESP32, ESP32-S2, ESP32-S3, ESP8266): CCOUNT (Xtensa ISA Reference Manual, 4.4.6). */
#include "clk.h"
#include "counter.h"
#include "counter_extend.h"
#include "tinyops/to_port.h"

static uint32_t read_ccount(void) {
    uint32_t value;
    __asm__ volatile("rsr %0, ccount" : "=a"(value)::"memory");
    return value;
}

static uint32_t last;
static uint64_t last_ms;
static uint64_t total;
static int counts;

uint64_t to_port_count(void) {
    uint32_t now = read_ccount();
    uint64_t now_ms = to_port_now_ms();
    total += to_counter_elapsed(now - last, now_ms - last_ms, coreclk());
    last_ms = now_ms;
    last = read_ccount();
    return total;
}

const char *to_port_count_kind(void) { return counts ? "measured-on-board" : "none"; }

uint32_t to_port_count_hertz(void) { return counts ? coreclk() : 0; }

void to_counter_init(void) {
    last = read_ccount();
    __asm__ volatile("nop\nnop\nnop\nnop" ::: "memory");
    counts = read_ccount() != last;
    last_ms = to_port_now_ms();
    last = read_ccount();
}
