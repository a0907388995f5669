// send INTERFACE TRACE SECONDS: sends the frames of a file, 64 bytes each, again and again through a packet socket.
// Prints how many were sent and the nanoseconds that it took.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define LENGTH 64
#define BATCH 64

static char trace[1 << 22];

static long long now(void) {
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void need(int well, const char *what) {
	if (well)
		return;
	perror(what);
	exit(1);
}

int main(int argc, char **argv) {
	need(argc == 4, "three arguments");
	FILE *file = fopen(argv[2], "rb");
	need(file != NULL, argv[2]);
	int frames = fread(trace, LENGTH, sizeof trace / LENGTH, file);
	need(frames >= BATCH && frames % BATCH == 0, "the number of frames");

	int fd = socket(AF_PACKET, SOCK_RAW, 0), yes = 1;
	need(fd >= 0, "socket");
	need(!setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes), "PACKET_QDISC_BYPASS");
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(argv[1]) };
	need(to.sll_ifindex && !bind(fd, (void *)&to, sizeof to), argv[1]);

	struct mmsghdr *messages = calloc(frames, sizeof *messages);
	struct iovec *pieces = calloc(frames, sizeof *pieces);
	for (int at = 0; at < frames; at++) {
		pieces[at] = (struct iovec){ .iov_base = trace + at * LENGTH, .iov_len = LENGTH };
		messages[at].msg_hdr = (struct msghdr){ .msg_iov = pieces + at, .msg_iovlen = 1 };
	}

	long long start = now(), end = start + (long long)(atof(argv[3]) * 1e9), sent = 0, at;
	while ((at = now()) < end) {
		int next = sent % frames, most = frames - next < BATCH ? frames - next : BATCH;
		int done = sendmmsg(fd, messages + next, most, 0);
		// A frame that the interface refuses is lost, as on any wire.
		need(done > 0 || errno == ENOBUFS, "sendmmsg");
		sent += done > 0 ? done : 1;
	}
	printf("%lld %lld\n", sent, at - start);
}
