/* RIOT's arrays that files add to: here each entry is a variable. */
#ifndef XFA_H
#define XFA_H

#define XFA(type, name, priority) type

#endif
