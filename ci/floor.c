/* The floor that `ci/bench` measures against: what a durable append costs when nothing else is done.
   floor LOCK LOG: open, flock, write, fdatasync. */
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static const char line[] =
    "{\"agent_id\":\"codex-1\",\"event\":\"note\",\"id\":\"0199b7a3-0000-7000-8000-000000000000\","
    "\"summary\":\"Drafted plan\",\"task_id\":\"QUEUE-001\",\"ts\":\"2025-09-19T17:50:10Z\"}\n";

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int lock = open(argv[1], O_RDWR | O_CREAT, 0644);
    if (lock < 0 || flock(lock, LOCK_EX)) return 9;
    int log = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (log < 0 || write(log, line, sizeof line - 1) != (ssize_t)(sizeof line - 1) || fdatasync(log)) return 9;
    close(log);
    flock(lock, LOCK_UN);
    return 0;
}
