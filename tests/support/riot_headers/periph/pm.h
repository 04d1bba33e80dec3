/* RIOT's power management. */
#ifndef PERIPH_PM_H
#define PERIPH_PM_H

void pm_off(void);
void pm_reboot(void);

#endif
