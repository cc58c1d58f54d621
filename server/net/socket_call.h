/* socket_call.h - read and send for the two calls that each request makes.
 *
 * glibc's own are cancellation points: in a process with threads each changes the thread's state by
 * an atomic operation before and after the call. Nobody cancels the loop's thread. */
#ifndef SERVER_NET_SOCKET_CALL_H
#define SERVER_NET_SOCKET_CALL_H
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* As read(2). */
static inline ssize_t socket_read(int fd, void *bytes, size_t size)
{
    return syscall(SYS_read, fd, bytes, size);
}

/* As send(2). */
static inline ssize_t socket_send(int fd, const void *bytes, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}
#endif
