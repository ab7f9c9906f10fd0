/*
 * What somebody writes by hand for an interrupt that comes by an eventfd: epoll, edge-triggered, so that
 * nothing has to be read; one system call an event. The peer of uio-core's dispatcher.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 64

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data = { .fd = fd } };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Calls the handler for every event of event_fd, until stop_fd comes up. 0, or -1 if epoll is not to be had. */
int epoll_loop(int event_fd, int stop_fd, void (*handler)(const void *), const void *argument)
{
	struct epoll_event events[BATCH];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int stop = 0;

	if (epoll < 0 || watch(epoll, event_fd) < 0 || watch(epoll, stop_fd) < 0)
		return -1;
	while (!stop) {
		int count = epoll_wait(epoll, events, BATCH, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == stop_fd)
				stop = 1;
			else
				handler(argument);
		}
	}
	close(epoll);
	return 0;
}
