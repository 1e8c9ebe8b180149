// The chaos harness preloads this into a node. It makes the node's wall clock jump, its steady
// clocks drift, and its disk slow or faulty. A page of memory, which the harness maps as well,
// tells which of these faults is on (CHAOS_CONTROL names its file). While that page is zero, there
// is no fault.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// tests/chaos/shim.py packs the same fields.
struct control {
  int64_t wall_offset_ns;
  double steady_rate;  // 0 or 1: the clock does not drift.
  int64_t steady_base_ns;
  int32_t sync_errno, write_errno, sync_delay_ms;
};

static struct control nothing;
static volatile struct control *control = &nothing;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
  if (real_clock) return;
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_write = dlsym(RTLD_NEXT, "write");
  real_clock = dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("CHAOS_CONTROL");
  const int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (page != MAP_FAILED) control = page;
}

int clock_gettime(clockid_t id, struct timespec *at) {
  begin();
  const int result = real_clock(id, at);
  if (result) return result;
  int64_t ns = at->tv_sec * 1000000000LL + at->tv_nsec;
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
    ns += control->wall_offset_ns;
  } else if ((id == CLOCK_BOOTTIME || id == CLOCK_MONOTONIC) && control->steady_rate != 0) {
    ns = control->steady_base_ns + (int64_t)((double)(ns - control->steady_base_ns) * control->steady_rate);
  }
  at->tv_sec = ns / 1000000000LL;
  at->tv_nsec = ns % 1000000000LL;
  return 0;
}

int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}

// The sleep has small steps, so that it ends soon after the fault.
static void delay(void) {
  for (int left = control->sync_delay_ms; left > 0 && control->sync_delay_ms; left -= 20) usleep(20000);
}

static int sync_with(int (*real)(int), int file) {
  delay();
  if (control->sync_errno) {
    errno = control->sync_errno;
    return -1;
  }
  return real(file);
}

int fsync(int file) {
  begin();
  return sync_with(real_fsync, file);
}

int fdatasync(int file) {
  begin();
  return sync_with(real_fdatasync, file);
}

static int fails(int file) {
  struct stat about;
  if (!control->write_errno || file <= 2 || fstat(file, &about) || !S_ISREG(about.st_mode)) return 0;
  errno = control->write_errno;
  return 1;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
  begin();
  return fails(file) ? -1 : real_pwrite(file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
  return pwrite64(file, bytes, count, at);
}

ssize_t write(int file, const void *bytes, size_t count) {
  begin();
  return fails(file) ? -1 : real_write(file, bytes, count);
}
