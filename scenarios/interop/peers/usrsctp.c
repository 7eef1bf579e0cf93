/*
 * usrsctp as peer of ours: does what it is told on standard input, says on standard output what happened. The commands are
 * those of benches/examples/peer.rs (see ../README.md). Usage: usrsctp ADDRESS[,ADDRESS] UDP-PORT
 * gcc -O2 -Wall -Wextra -o usrsctp usrsctp.c $(pkg-config --cflags --libs usrsctp) -lpthread
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <usrsctp.h>

#define HEAD 12
#define STREAMS 64
#define MESSAGE_MAX 70000
#define ADDRESSES_MAX 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct socket *endpoint;
static struct sockaddr_in own[ADDRESSES_MAX];
static int own_count;
static uint16_t udp_port;
/* The association that is up, 0: none. */
static sctp_assoc_t assoc;
/* What was received since `reset`. */
static unsigned long long messages, bytes, bad, last_us, gap_us;
static unsigned send_failed;
static uint32_t last_number[STREAMS];
static int stream_used[STREAMS];
/* A message that comes in parts. */
static unsigned char whole[MESSAGE_MAX];
static size_t whole_length;
/* What is being sent; a thread does it. */
static volatile int sending, stop_sending;
static unsigned long long send_count, send_rate;
static size_t send_size;
static unsigned send_streams;
static uint32_t send_ppid, next_number;

static unsigned long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    flockfile(stdout);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
    va_end(arguments);
}

static void fail(const char *what)
{
    say("error %s: %s", what, strerror(errno));
}

static uint32_t word(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static int is_right(const unsigned char *data, size_t length, uint16_t stream, uint32_t ppid)
{
    size_t i;
    if (length < HEAD) {
        for (i = 0; i < length; i++)
            if (data[i] != 0x5a)
                return 0;
        return 1;
    }
    uint32_t number = word(data);
    if (stream >= STREAMS || (stream_used[stream] && number <= last_number[stream]))
        return 0;
    stream_used[stream] = 1;
    last_number[stream] = number;
    if (word(data + 4) != ppid || word(data + 8) >> 16 != stream)
        return 0;
    for (i = HEAD; i < length; i++)
        if (data[i] != (unsigned char)number)
            return 0;
    return 1;
}

static void take(const unsigned char *data, size_t length, uint16_t stream, uint32_t ppid)
{
    unsigned long long now = now_us();
    pthread_mutex_lock(&lock);
    if (last_us && now - last_us > gap_us)
        gap_us = now - last_us;
    last_us = now;
    messages++;
    bytes += length;
    bad += !is_right(data, length, stream, ppid);
    pthread_mutex_unlock(&lock);
}

static void print_addresses(sctp_assoc_t id, char *text, size_t size)
{
    struct sockaddr *addresses = NULL;
    int count = usrsctp_getpaddrs(endpoint, id, &addresses);
    struct sockaddr_in *at = (struct sockaddr_in *)addresses;
    text[0] = 0;
    for (int i = 0; i < count; i++) {
        char one[INET_ADDRSTRLEN] = "?";
        inet_ntop(AF_INET, &at[i].sin_addr, one, sizeof one);
        snprintf(text + strlen(text), size - strlen(text), "%s%s", i ? "," : "", one);
    }
    if (count > 0)
        usrsctp_freepaddrs(addresses);
}

static void association_changed(const struct sctp_assoc_change *change)
{
    char addresses[256];
    if (change->sac_state == SCTP_COMM_UP || change->sac_state == SCTP_RESTART) {
        pthread_mutex_lock(&lock);
        memset(stream_used, 0, sizeof stream_used);
        pthread_mutex_unlock(&lock);
    }
    switch (change->sac_state) {
    case SCTP_COMM_UP:
        assoc = change->sac_assoc_id;
        print_addresses(assoc, addresses, sizeof addresses);
        say("up %u %u %s", change->sac_outbound_streams, change->sac_inbound_streams, addresses);
        return;
    case SCTP_RESTART:
        assoc = change->sac_assoc_id;
        say("closed Restarted 0 0");
        print_addresses(assoc, addresses, sizeof addresses);
        say("up %u %u %s", change->sac_outbound_streams, change->sac_inbound_streams, addresses);
        return;
    case SCTP_COMM_LOST:
        say("closed Lost(%u) %u 0", change->sac_error, send_failed);
        break;
    case SCTP_SHUTDOWN_COMP:
        say("closed Shutdown %u 0", send_failed);
        break;
    case SCTP_CANT_STR_ASSOC:
        say("closed ConnectFailed %u 0", send_failed);
        break;
    }
    stop_sending = 1;
    assoc = 0;
}

static void address_changed(const struct sctp_paddr_change *change)
{
    static const char *const names[] = {"?", "Active", "Inactive", "Removed", "Added", "Primary", "Confirmed"};
    const struct sockaddr_in *at = (const struct sockaddr_in *)&change->spc_aaddr;
    char text[INET_ADDRSTRLEN] = "?";
    inet_ntop(AF_INET, &at->sin_addr, text, sizeof text);
    say("path %s %s", text, change->spc_state < 7 ? names[change->spc_state] : "?");
}

static int on_receive(struct socket *from, union sctp_sockstore address, void *data, size_t length, struct sctp_rcvinfo info,
                      int flags, void *unused)
{
    (void)from, (void)address, (void)unused;
    if (!data)
        return 1;
    if (flags & MSG_NOTIFICATION) {
        const union sctp_notification *said = data;
        if (said->sn_header.sn_type == SCTP_ASSOC_CHANGE)
            association_changed(&said->sn_assoc_change);
        else if (said->sn_header.sn_type == SCTP_PEER_ADDR_CHANGE)
            address_changed(&said->sn_paddr_change);
        else if (said->sn_header.sn_type == SCTP_SEND_FAILED_EVENT)
            send_failed++;
    } else if ((flags & MSG_EOR) && whole_length == 0) {
        take(data, length, info.rcv_sid, ntohl(info.rcv_ppid));
    } else if (whole_length + length <= sizeof whole) {
        memcpy(whole + whole_length, data, length);
        whole_length += length;
        if (flags & MSG_EOR) {
            take(whole, whole_length, info.rcv_sid, ntohl(info.rcv_ppid));
            whole_length = 0;
        }
    }
    free(data);
    return 1;
}

static int send_message(const void *data, size_t length, uint16_t stream, uint32_t ppid, uint16_t flags)
{
    struct sctp_sndinfo info = {.snd_sid = stream, .snd_flags = flags, .snd_ppid = htonl(ppid), .snd_assoc_id = assoc};
    for (;;) {
        ssize_t sent = usrsctp_sendv(endpoint, data, length, NULL, 0, &info, sizeof info, SCTP_SENDV_SNDINFO, 0);
        if (sent >= 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EAGAIN && errno != ENOBUFS)
            return -1;
        usleep(100);
    }
}

static void *send_all(void *unused)
{
    static unsigned char message[MESSAGE_MAX];
    unsigned long long begin = now_us(), sent;
    (void)unused;
    for (sent = 0; sent < send_count && !stop_sending; sent++) {
        uint16_t stream = sent % send_streams;
        uint32_t head[3] = {htonl(next_number), htonl(send_ppid), htonl((uint32_t)stream << 16)};
        if (send_size < HEAD) {
            memset(message, 0x5a, send_size);
        } else {
            memset(message, (unsigned char)next_number, send_size);
            memcpy(message, head, HEAD);
        }
        while (send_rate && now_us() < begin + sent * 1000000 / send_rate && !stop_sending)
            usleep(200);
        if (send_message(message, send_size, stream, send_ppid, 0) < 0) {
            if (!stop_sending)
                fail("send");
            break;
        }
        next_number++;
    }
    sending = 0;
    return NULL;
}

static void start_sending(void)
{
    pthread_t thread;
    stop_sending = 0;
    sending = 1;
    if (pthread_create(&thread, NULL, send_all, NULL) == 0)
        pthread_detach(thread);
}

static struct sockaddr_in address_of(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static void bind_to(uint16_t port)
{
    for (int i = 0; i < own_count; i++)
        own[i].sin_port = htons(port);
    if (usrsctp_bindx(endpoint, (struct sockaddr *)own, own_count, SCTP_BINDX_ADD_ADDR) < 0)
        fail("bindx");
}

static void set(int option, const void *value, socklen_t length, const char *name)
{
    if (usrsctp_setsockopt(endpoint, IPPROTO_SCTP, option, value, length) < 0)
        fail(name);
}

static void open_endpoint(void)
{
    static const uint16_t wanted[] = {SCTP_ASSOC_CHANGE, SCTP_PEER_ADDR_CHANGE, SCTP_SEND_FAILED_EVENT};
    struct sctp_initmsg streams = {.sinit_num_ostreams = 17, .sinit_max_instreams = STREAMS};
    const char *nagle = getenv("NAGLE");
    int on = !(nagle && nagle[0]);
    endpoint = usrsctp_socket(AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, on_receive, NULL, 0, NULL);
    if (!endpoint) {
        fail("socket");
        exit(1);
    }
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct sctp_event event = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = wanted[i], .se_on = 1};
        set(SCTP_EVENT, &event, sizeof event, "SCTP_EVENT");
    }
    set(SCTP_INITMSG, &streams, sizeof streams, "SCTP_INITMSG");
    set(SCTP_NODELAY, &on, sizeof on, "SCTP_NODELAY");
}

static void connect_to(uint16_t port, uint16_t peer_port, char *addresses, uint16_t peer_udp)
{
    struct sockaddr_in peer[ADDRESSES_MAX];
    struct sctp_udpencaps encapsulation = {.sue_assoc_id = SCTP_FUTURE_ASSOC, .sue_port = htons(peer_udp)};
    sctp_assoc_t id;
    int count = 0;
    for (char *at = strtok(addresses, ","); at && count < ADDRESSES_MAX; at = strtok(NULL, ","))
        peer[count++] = address_of(at, peer_port);
    encapsulation.sue_address.ss_family = AF_INET;
    set(SCTP_REMOTE_UDP_ENCAPS_PORT, &encapsulation, sizeof encapsulation, "SCTP_REMOTE_UDP_ENCAPS_PORT");
    bind_to(port);
    /* It says SHUTDOWN_COMP before it has forgotten the association: EALREADY, for a moment. */
    for (int tries = 0; usrsctp_connectx(endpoint, (struct sockaddr *)peer, count, &id) < 0 && errno != EINPROGRESS; tries++) {
        if (errno != EALREADY || tries == 1000) {
            fail("connectx");
            return;
        }
        usleep(1000);
    }
}

static void count_up(void)
{
    pthread_mutex_lock(&lock);
    say("count %llu %llu %llu %llu %llu %d", messages, bytes, bad, gap_us, now_us(), sending);
    pthread_mutex_unlock(&lock);
}

static void command(char *line)
{
    unsigned port, peer_port, peer_udp = 9899, streams;
    char addresses[256];
    unsigned long long count;
    size_t size;
    uint32_t ppid;
    if (sscanf(line, "listen %u", &port) == 1) {
        bind_to(port);
        if (usrsctp_listen(endpoint, 16) < 0)
            fail("listen");
        say("listening");
    } else if (sscanf(line, "connect %u %u %255s %u", &port, &peer_port, addresses, &peer_udp) >= 3) {
        connect_to(port, peer_port, addresses, peer_udp);
    } else if (send_rate = 0, sscanf(line, "send %llu %zu %u %u %llu", &count, &size, &streams, &ppid, &send_rate) >= 4) {
        send_count = count, send_size = size, send_streams = streams, send_ppid = ppid;
        start_sending();
    } else if (sscanf(line, "flood %zu %u", &size, &streams) == 2) {
        send_count = ~0ull, send_size = size, send_streams = streams, send_ppid = 3;
        start_sending();
    } else if (!strcmp(line, "stop")) {
        stop_sending = 1;
    } else if (!strcmp(line, "shutdown")) {
        if (send_message("", 0, 0, 0, SCTP_EOF) < 0)
            fail("shutdown");
    } else if (!strcmp(line, "abort")) {
        if (send_message("", 0, 0, 0, SCTP_ABORT) < 0)
            fail("abort");
    } else if (!strcmp(line, "count")) {
        count_up();
    } else if (!strcmp(line, "reset")) {
        pthread_mutex_lock(&lock);
        messages = bytes = bad = last_us = gap_us = 0;
        pthread_mutex_unlock(&lock);
        say("done");
    } else if (!strcmp(line, "quit")) {
        _exit(0);
    } else {
        say("error no such command: %s", line);
    }
}

int main(int argc, char **argv)
{
    char line[512];
    if (argc != 3) {
        fprintf(stderr, "usage: usrsctp ADDRESS[,ADDRESS] UDP-PORT\n");
        return 2;
    }
    /* As root it would open raw sockets too, and answer other tests' packets. */
    if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0)) {
        perror("setuid");
        return 1;
    }
    udp_port = atoi(argv[2]);
    for (char *at = strtok(argv[1], ","); at && own_count < ADDRESSES_MAX; at = strtok(NULL, ","))
        own[own_count++] = address_of(at, 0);
    usrsctp_init(udp_port, NULL, NULL);
    usrsctp_sysctl_set_sctp_blackhole(0);
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
    open_endpoint();
    say("ready");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        command(line);
    }
    _exit(0);
}
