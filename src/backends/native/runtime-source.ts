/**
 * The part of the backend that is C: memory, a pool of threads, and the walk over a table. It is compiled without
 * assumptions about the processor and says what the processor can do.
 *
 * A walk has no barrier that all threads must reach. Every instruction counts the tasks that were claimed and those that
 * are finished; a thread goes on when all are finished, so one that lost its processor between two tasks holds up nobody.
 */
import { featureBits } from './target.ts'

/** Bytes of an instruction in a table: one line that is only read, one with the counters. */
export const instructionBytes = 128

/** Where the fields of an instruction lie. */
export const instructionOffsets = { kernel: 0, buffers: 8, params: 16, tasks: 24 } as const

export const runtimeSource = `
#define _GNU_SOURCE
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define EXPORT __attribute__((visibility("default")))

typedef void kernel_function(int32_t task, char *const *buffers, const void *params, char *scratch);

typedef struct {
  kernel_function *kernel;
  char **buffers;
  const void *params;
  int32_t tasks;
  char unused[36];
  _Atomic int32_t claimed;
  _Atomic int32_t finished;
  char rest[56];
} instruction;

typedef struct {
  instruction *table;
  int32_t count;
  char *scratch;
  int64_t scratch_bytes;
} job;

typedef struct pool {
  int32_t threads;
  int32_t spins;
  job job;
  /* Odd while a job is open. */
  _Alignas(64) _Atomic uint64_t turn;
  /* Threads of the pool that may be touching the job. */
  _Alignas(64) _Atomic int32_t active;
  _Alignas(64) _Atomic int32_t sleepers;
  _Atomic int32_t closing;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  pthread_t *list;
} pool;

typedef struct { pool *pool; int32_t index; } member;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void wake_all(pool *p) {
  if (atomic_load(&p->sleepers) == 0) return;
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->mutex);
}

/* Until all tasks are finished: spins, then sleeps. Whoever finishes the last task wakes. */
static void await_finished(pool *p, instruction *in) {
  for (int32_t left = p->spins; left > 0; left--) {
    if (atomic_load_explicit(&in->finished, memory_order_acquire) == in->tasks) return;
    relax();
  }
  atomic_fetch_add(&p->sleepers, 1);
  pthread_mutex_lock(&p->mutex);
  while (atomic_load(&in->finished) != in->tasks) pthread_cond_wait(&p->wake, &p->mutex);
  pthread_mutex_unlock(&p->mutex);
  atomic_fetch_sub(&p->sleepers, 1);
}

static void walk(pool *p, job *j, int32_t index) {
  char *scratch = j->scratch + index * j->scratch_bytes;
  for (int32_t i = 0; i < j->count; i++) {
    instruction *in = j->table + i;
    int32_t done = 0;
    if (atomic_load_explicit(&in->claimed, memory_order_relaxed) < in->tasks) {
      for (;;) {
        const int32_t task = atomic_fetch_add_explicit(&in->claimed, 1, memory_order_relaxed);
        if (task >= in->tasks) break;
        in->kernel(task, in->buffers, in->params, scratch);
        done++;
      }
    }
    if (done > 0 && atomic_fetch_add(&in->finished, done) + done == in->tasks) {
      wake_all(p);
      continue;
    }
    if (atomic_load_explicit(&in->finished, memory_order_acquire) != in->tasks) await_finished(p, in);
  }
}

static void *work(void *argument) {
  member m = *(member *)argument;
  pool *p = m.pool;
  free(argument);
  uint64_t seen = 0;
  for (;;) {
    uint64_t turn = atomic_load_explicit(&p->turn, memory_order_acquire);
    for (int32_t left = p->spins; left > 0 && (turn == seen || (turn & 1) == 0) && !atomic_load(&p->closing); left--) {
      relax();
      turn = atomic_load_explicit(&p->turn, memory_order_acquire);
    }
    if (turn == seen || (turn & 1) == 0) {
      atomic_fetch_add(&p->sleepers, 1);
      pthread_mutex_lock(&p->mutex);
      while (((turn = atomic_load(&p->turn)) == seen || (turn & 1) == 0) && !atomic_load(&p->closing))
        pthread_cond_wait(&p->wake, &p->mutex);
      pthread_mutex_unlock(&p->mutex);
      atomic_fetch_sub(&p->sleepers, 1);
    }
    if (atomic_load(&p->closing)) return NULL;
    seen = turn;
    /* The owner closes the turn and then waits for those inside: either it sees us, or we see that it is closed. */
    atomic_fetch_add(&p->active, 1);
    if (atomic_load(&p->turn) == turn) walk(p, &p->job, m.index);
    atomic_fetch_sub(&p->active, 1);
  }
}

EXPORT void juanji_close_pool(int64_t address) {
  pool *p = (pool *)address;
  atomic_store(&p->closing, 1);
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->mutex);
  for (int32_t i = 1; i < p->threads; i++) pthread_join(p->list[i], NULL);
  pthread_mutex_destroy(&p->mutex);
  pthread_cond_destroy(&p->wake);
  free(p->list);
  free(p);
}

/* Address of a pool of that many threads, the caller of juanji_run being the first; 0 where they cannot be had. */
EXPORT int64_t juanji_open_pool(int32_t threads, int32_t spins) {
  pool *p;
  if (posix_memalign((void **)&p, 64, sizeof(pool)) != 0) return 0;
  memset(p, 0, sizeof(pool));
  p->spins = spins;
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->wake, NULL);
  p->list = calloc(threads, sizeof(pthread_t));
  p->threads = 1;
  for (int32_t i = 1; p->list != NULL && i < threads; i++) {
    member *m = malloc(sizeof(member));
    if (m == NULL) break;
    *m = (member){p, i};
    if (pthread_create(p->list + i, NULL, work, m) != 0) {
      free(m);
      break;
    }
    p->threads++;
  }
  if (p->threads == threads) return (int64_t)p;
  juanji_close_pool((int64_t)p);
  return 0;
}

/* Runs a table. With one thread the pool is left asleep. One call at a time for each pool. */
EXPORT void juanji_run(int64_t address, int64_t table, int32_t count, int64_t scratch, int64_t scratch_bytes, int32_t threads) {
  pool *p = (pool *)address;
  job j = {(instruction *)table, count, (char *)scratch, scratch_bytes};
  for (int32_t i = 0; i < count; i++) {
    atomic_store_explicit(&j.table[i].claimed, 0, memory_order_relaxed);
    atomic_store_explicit(&j.table[i].finished, 0, memory_order_relaxed);
  }
  if (threads == 1 || p->threads == 1) {
    for (int32_t i = 0; i < count; i++) {
      instruction *in = j.table + i;
      for (int32_t task = 0; task < in->tasks; task++) in->kernel(task, in->buffers, in->params, j.scratch);
    }
    return;
  }
  p->job = j;
  atomic_fetch_add(&p->turn, 1);
  wake_all(p);
  walk(p, &j, 0);
  atomic_fetch_add(&p->turn, 1);
  while (atomic_load(&p->active) != 0) relax();
}

/* Large blocks go back to the system when they are freed. */
static const int64_t large = 1 << 20;

EXPORT int64_t juanji_allocate(int64_t bytes) {
  if (bytes >= large) {
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? 0 : (int64_t)block;
  }
  void *block;
  return posix_memalign(&block, 64, bytes) == 0 ? (int64_t)block : 0;
}

EXPORT void juanji_free(int64_t address, int64_t bytes) {
  if (bytes >= large) munmap((void *)address, bytes);
  else free((void *)address);
}

EXPORT void juanji_write(int64_t address, const uint8_t *from, int64_t bytes) { memcpy((void *)address, from, bytes); }
EXPORT void juanji_read(int64_t address, uint8_t *to, int64_t bytes) { memcpy(to, (void *)address, bytes); }

/* Address of a symbol of a library, 0 where it cannot be loaded: then juanji_failure says why. Libraries stay loaded. */
EXPORT int64_t juanji_symbol(const char *path, const char *name) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return library == NULL ? 0 : (int64_t)dlsym(library, name);
}
EXPORT const char *juanji_failure(void) {
  const char *text = dlerror();
  return text == NULL ? "" : text;
}

EXPORT int32_t juanji_features(void) {
  int32_t features = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    features |= ${featureBits.avx512};
    // Older compilers do not know this one by name.
    unsigned a = 0, b, c, d;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1)) features |= ${featureBits.avx512bf16};
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) features |= ${featureBits.avx2};
#elif defined(__aarch64__)
  features |= ${featureBits.neon};
#endif
  return features;
}
`

/** How koffi calls the runtime. A wrong line here crashes the process: native-backend.test.ts calls each of them. */
export const runtimeSignatures = {
  features: 'int32_t juanji_features()',
  openPool: 'int64_t juanji_open_pool(int32_t threads, int32_t spins)',
  closePool: 'void juanji_close_pool(int64_t pool)',
  run: 'void juanji_run(int64_t pool, int64_t table, int32_t count, int64_t scratch, int64_t scratchBytes, int32_t threads)',
  allocate: 'int64_t juanji_allocate(int64_t bytes)',
  free: 'void juanji_free(int64_t address, int64_t bytes)',
  write: 'void juanji_write(int64_t address, const uint8_t *from, int64_t bytes)',
  read: 'void juanji_read(int64_t address, uint8_t *to, int64_t bytes)',
  symbol: 'int64_t juanji_symbol(const char *path, const char *name)',
  failure: 'const char *juanji_failure()',
} as const
