/* RIOT's file systems; descriptors are of their own. */
#ifndef VFS_H
#define VFS_H

#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

/* All return a negative number when they fail. */
int vfs_open(const char *name, int flags, mode_t mode);
ssize_t vfs_read(int fd, void *dest, size_t count);
ssize_t vfs_write(int fd, const void *src, size_t count);
off_t vfs_lseek(int fd, off_t off, int whence);
int vfs_fsync(int fd);

#endif
