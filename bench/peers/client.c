/* The floor of a native client: epoll, one thread, no XML parser.
 *
 *   client HOST PORT DOMAIN PREFIX FIRST USERS MESSAGES [IDLE_SECONDS [GAP_SECONDS]]
 *
 * Logs USERS users in (FIRST, FIRST + 1, …; plain TCP, SASL PLAIN, bind, session, presence), a hundred logins under
 * way at a time. Then neighbours of a pair play ping-pong: the odd one sends, the other sends back, until each
 * has received MESSAGES; with a gap each answer waits that long. Prints one line of JSON: logins, messages (a send and a receive each), CPU seconds of the
 * login phase and of the message phase, and the resident memory before and after the logins.
 *
 * It looks for fixed strings in what the server sends, as nobody should who wants to be right: it is here to show
 * what the kernel and the socket calls alone cost on this machine.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum step { HEADER, AUTH, REHEADER, BIND, SESSION, READY };

struct user {
    int fd, id, received;
    enum step step;
    char *rest; /* an unfinished tail, only while there is one */
    int rest_len;
};

static struct user *users;
static struct sockaddr_in server;
static const char *domain, *prefix;
static int first, count, wanted, ep;
static int begun, ready, finished;
/* answers that wait: each user has one at the most, and all wait equally long, so the queue is in order */
static struct { double due; struct user *user; } *waiting;
static int head, tail;
static double gap;

static void die(const char *what) {
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long resident(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*d %ld", &pages) != 1) die("statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static void put(struct user *u, const char *text, int len) {
    if (write(u->fd, text, len) != len) die("write");
}

static void header(struct user *u) {
    char buf[256];
    put(u, buf, snprintf(buf, sizeof buf,
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        "version='1.0' to='%s'>", domain));
}

static void encode64(const unsigned char *in, int n, char *out) {
    static const char t[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < n; i += 3) {
        unsigned v = in[i] << 16 | (i + 1 < n ? in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
        *out++ = t[v >> 18];
        *out++ = t[v >> 12 & 63];
        *out++ = i + 1 < n ? t[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? t[v & 63] : '=';
    }
    *out = 0;
}

static void authenticate(struct user *u) {
    char plain[128], coded[200], buf[400];
    int n = snprintf(plain, sizeof plain, "%c%s%d%cpassword_%d", 0, prefix, u->id, 0, u->id);
    encode64((unsigned char *)plain, n, coded);
    put(u, buf, snprintf(buf, sizeof buf,
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", coded));
}

static void ping(struct user *u) {
    char buf[400];
    int peer = (u->id - first) % 2 ? u->id - 1 : u->id + 1;
    put(u, buf, snprintf(buf, sizeof buf,
        "<message to='%s%d@%s/res1' type='chat' id='%d'><body>%s</body></message>", prefix, peer, domain,
        u->received, "a line of text as people write it to each other"));
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void answer(struct user *u) {
    if (gap == 0) {
        ping(u);
        return;
    }
    waiting[tail % count].due = now() + gap;
    waiting[tail++ % count].user = u;
}

/* Milliseconds until the next answer is due, having sent those that are; -1: none waits. */
static int send_due(void) {
    double left = 0;
    if (head == tail) return -1;
    double at = now();
    while (head < tail && (left = waiting[head % count].due - at) <= 0) ping(waiting[head++ % count].user);
    return head == tail ? -1 : (int)(left * 1000) + 1;
}

static void dial(void) {
    struct user *u = &users[begun];
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = u};
    int one = 1;
    u->id = first + begun++;
    u->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (u->fd < 0 || connect(u->fd, (struct sockaddr *)&server, sizeof server)) die("connect");
    setsockopt(u->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(u->fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, u->fd, &e)) die("epoll_ctl");
    header(u);
}

static int has(const char *data, int len, const char *what) {
    return memmem(data, len, what, strlen(what)) != NULL;
}

/* How much of the data was used up. */
static int take(struct user *u, const char *data, int len) {
    const char *bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                       "<resource>res1</resource></bind></iq>";
    const char *session = "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
    const char *end = "</message>", *at = data, *found;
    if (has(data, len, "stream:error") || has(data, len, "<failure")) {
        fprintf(stderr, "client: user %d: %.*s\n", u->id, len, data);
        exit(1);
    }
    switch (u->step) {
    case HEADER:
        if (!has(data, len, "</stream:features>")) return 0;
        authenticate(u);
        u->step = AUTH;
        return len;
    case AUTH:
        if (!has(data, len, "<success")) return 0;
        header(u);
        u->step = REHEADER;
        return len;
    case REHEADER:
        if (!has(data, len, "</stream:features>")) return 0;
        put(u, bind, strlen(bind));
        u->step = BIND;
        return len;
    case BIND:
        if (!has(data, len, "</iq>")) return 0;
        put(u, session, strlen(session));
        u->step = SESSION;
        return len;
    case SESSION:
        if (!has(data, len, "id='s'") && !has(data, len, "id=\"s\"")) return 0;
        put(u, "<presence/>", 11);
        u->step = READY;
        ready++;
        if (begun < count) dial();
        return len;
    case READY:
        while ((found = memmem(at, data + len - at, end, strlen(end)))) {
            at = found + strlen(end);
            if (u->received < wanted) {
                if (++u->received == wanted) finished++;
                if ((u->id - first) % 2 || u->received < wanted) answer(u);
            }
        }
        /* presences are of no interest; keep only what may be the beginning of a message */
        found = memmem(at, data + len - at, "<message", 8);
        return found ? found - data : len;
    }
    return len;
}

static void readable(struct user *u) {
    char buf[65536];
    int n = read(u->fd, buf + u->rest_len, sizeof buf - u->rest_len);
    if (n == 0 || (n < 0 && errno != EAGAIN)) die("the server closed a connection");
    if (n < 0) return;
    if (u->rest_len) memcpy(buf, u->rest, u->rest_len);
    n += u->rest_len;
    int used = take(u, buf, n);
    free(u->rest);
    u->rest = NULL;
    u->rest_len = n - used;
    if (u->rest_len) {
        u->rest = malloc(u->rest_len);
        memcpy(u->rest, buf + used, u->rest_len);
    }
}

static void run_until(int *counter, int goal) {
    struct epoll_event events[256];
    while (*counter < goal) {
        int due = send_due();
        int n = epoll_wait(ep, events, 256, due < 0 ? 30000 : due);
        if (n < 0 || (n == 0 && due < 0)) die("nothing happened for 30 s");
        for (int i = 0; i < n; i++) readable(events[i].data.ptr);
    }
}

int main(int argc, char **argv) {
    if (argc < 8) return fprintf(stderr, "usage: client HOST PORT DOMAIN PREFIX FIRST USERS MESSAGES [IDLE]\n"), 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    domain = argv[3];
    prefix = argv[4];
    first = atoi(argv[5]);
    count = atoi(argv[6]);
    wanted = atoi(argv[7]);
    users = calloc(count, sizeof *users);
    waiting = calloc(count, sizeof *waiting);
    gap = argc > 9 ? atof(argv[9]) : 0;
    ep = epoll_create1(0);
    long empty = resident();
    double start = cpu();
    while (begun < count && begun < 100) dial();
    run_until(&ready, count);
    double logged_in = cpu();
    if (argc > 8) sleep(atoi(argv[8]));
    long full = resident();
    double before = cpu();
    double began = now();
    if (wanted) {
        for (int i = 0; i < count; i += 2) ping(&users[i]);
        run_until(&finished, count);
    }
    printf("{\"logins\": %d, \"messages\": %ld, \"login_cpu\": %.4f, \"message_cpu\": %.4f, \"message_wall\": %.3f, "
           "\"empty\": %ld, \"full\": %ld}\n", count, (long)count * wanted, logged_in - start, cpu() - before,
           now() - began, empty, full);
    return 0;
}
