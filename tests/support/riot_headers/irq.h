/* RIOT's interrupts. */
#ifndef IRQ_H
#define IRQ_H

unsigned irq_disable(void);
void irq_restore(unsigned state);

#endif
