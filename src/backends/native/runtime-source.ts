/**
 * The part of the backend that is C: memory, a pool of threads, and the walk over a table, as an addon by Node-API, whose
 * binary interface is stable; the few declarations of it that are needed are written down here, since headers are not
 * installed with every Node. It is compiled without assumptions about the processor and says what the processor can do.
 *
 * A walk has no barrier that all threads must reach. Every instruction counts the tasks that were claimed and those that
 * are finished; a thread goes on when all are finished, so one that lost its processor between two tasks holds up nobody.
 */
import { featureBits } from './target.ts'

/** Bytes of an instruction in a table: one line that is only read, one for each counter. */
export const instructionBytes = 256

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
  /* Tasks that were claimed, of each half of them. */
  struct { _Atomic int32_t claimed; char rest[60]; } halves[2];
  _Atomic int32_t finished;
  char rest[60];
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

/*
 * Half of the threads begin with the first task, the others in the middle, so that a part of a picture stays in the cache
 * of the processor that computed it. Who is through with its half helps with the other. Returns how many tasks were run.
 */
static int32_t take_tasks(instruction *in, int32_t half, char *scratch) {
  const int32_t middle = (in->tasks + 1) / 2;
  const int32_t first = half ? middle : 0, count = half ? in->tasks - middle : middle;
  _Atomic int32_t *claimed = &in->halves[half].claimed;
  int32_t done = 0;
  if (atomic_load_explicit(claimed, memory_order_relaxed) >= count) return 0;
  for (;;) {
    const int32_t task = atomic_fetch_add_explicit(claimed, 1, memory_order_relaxed);
    if (task >= count) return done;
    in->kernel(first + task, in->buffers, in->params, scratch);
    done++;
  }
}

static void walk(pool *p, job *j, int32_t index) {
  char *scratch = j->scratch + index * j->scratch_bytes;
  const int32_t half = index & 1;
  for (int32_t i = 0; i < j->count; i++) {
    instruction *in = j->table + i;
    const int32_t done = take_tasks(in, half, scratch) + take_tasks(in, 1 - half, scratch);
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

static void close_pool(int64_t address) {
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

/* Address of a pool of that many threads, the caller of run being the first; 0 where they cannot be had. */
static int64_t open_pool(int32_t threads, int32_t spins) {
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
  close_pool((int64_t)p);
  return 0;
}

/* Runs a table. With one thread the pool is left asleep. One call at a time for each pool. */
static void run(int64_t address, int64_t table, int32_t count, int64_t scratch, int64_t scratch_bytes, int32_t threads) {
  pool *p = (pool *)address;
  job j = {(instruction *)table, count, (char *)scratch, scratch_bytes};
  for (int32_t i = 0; i < count; i++) {
    for (int32_t half = 0; half < 2; half++) atomic_store_explicit(&j.table[i].halves[half].claimed, 0, memory_order_relaxed);
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
  for (int32_t turns = 0; atomic_load(&p->active) != 0; turns++) {
    relax();
    if (turns > 200) sched_yield();
  }
}

/* Large blocks go back to the system when they are freed. */
static const int64_t large = 1 << 20;

static int64_t allocate_block(int64_t bytes) {
  if (bytes >= large) {
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return 0;
#ifdef MADV_HUGEPAGE
    madvise(block, bytes, MADV_HUGEPAGE);
#endif
    return (int64_t)block;
  }
  void *block;
  return posix_memalign(&block, 64, bytes) == 0 ? (int64_t)block : 0;
}

static void free_block(int64_t address, int64_t bytes) {
  if (bytes >= large) munmap((void *)address, bytes);
  else free((void *)address);
}

static int32_t features(void) {
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

/* Node-API. */

typedef struct env_s *napi_env;
typedef struct value_s *napi_value;
typedef struct info_s *napi_callback_info;
typedef struct deferred_s *napi_deferred;
typedef struct work_s *napi_async_work;
typedef napi_value callback(napi_env, napi_callback_info);
extern int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
extern int napi_get_value_int64(napi_env, napi_value, int64_t *);
extern int napi_get_value_string_utf8(napi_env, napi_value, char *, size_t, size_t *);
extern int napi_get_typedarray_info(napi_env, napi_value, int *, size_t *, void **, napi_value *, size_t *);
extern int napi_get_undefined(napi_env, napi_value *);
extern int napi_create_int64(napi_env, int64_t, napi_value *);
extern int napi_create_string_utf8(napi_env, const char *, size_t, napi_value *);
extern int napi_create_function(napi_env, const char *, size_t, callback *, void *, napi_value *);
extern int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
extern int napi_create_promise(napi_env, napi_deferred *, napi_value *);
extern int napi_resolve_deferred(napi_env, napi_deferred, napi_value);
extern int napi_create_async_work(napi_env, napi_value, napi_value, void (*)(napi_env, void *), void (*)(napi_env, int, void *), void *, napi_async_work *);
extern int napi_queue_async_work(napi_env, napi_async_work);
extern int napi_delete_async_work(napi_env, napi_async_work);
extern int napi_add_env_cleanup_hook(napi_env, void (*)(void *), void *);
extern int napi_remove_env_cleanup_hook(napi_env, void (*)(void *), void *);

#define MOST_ARGUMENTS 6
typedef struct { napi_value values[MOST_ARGUMENTS]; int64_t n[MOST_ARGUMENTS]; } arguments;

/* The arguments of a call; n has those that are numbers. */
static arguments arguments_of(napi_env env, napi_callback_info info) {
  arguments a = {0};
  size_t count = MOST_ARGUMENTS;
  napi_get_cb_info(env, info, &count, a.values, NULL, NULL);
  for (size_t i = 0; i < count && i < MOST_ARGUMENTS; i++) napi_get_value_int64(env, a.values[i], a.n + i);
  return a;
}

static napi_value number(napi_env env, int64_t n) {
  napi_value value = NULL;
  napi_create_int64(env, n, &value);
  return value;
}

static napi_value nothing(napi_env env) {
  napi_value value = NULL;
  napi_get_undefined(env, &value);
  return value;
}

static void *bytes_of(napi_env env, napi_value array) {
  void *data = NULL;
  napi_get_typedarray_info(env, array, NULL, NULL, &data, NULL, NULL);
  return data;
}

#define FUNCTION(name) static napi_value js_##name(napi_env env, napi_callback_info info)

FUNCTION(features) { return (void)info, number(env, features()); }
/* A pool ends with the thread of JavaScript that opened it, if it is not closed before. */
static void close_hook(void *pool) { close_pool((int64_t)pool); }
FUNCTION(openPool) {
  arguments a = arguments_of(env, info);
  const int64_t p = open_pool(a.n[0], a.n[1]);
  if (p != 0) napi_add_env_cleanup_hook(env, close_hook, (void *)p);
  return number(env, p);
}
FUNCTION(closePool) {
  const int64_t p = arguments_of(env, info).n[0];
  napi_remove_env_cleanup_hook(env, close_hook, (void *)p);
  close_pool(p);
  return nothing(env);
}
FUNCTION(allocate) { return number(env, allocate_block(arguments_of(env, info).n[0])); }
FUNCTION(free) { arguments a = arguments_of(env, info); free_block(a.n[0], a.n[1]); return nothing(env); }
FUNCTION(write) {
  arguments a = arguments_of(env, info);
  memcpy((void *)a.n[0], bytes_of(env, a.values[1]), a.n[2]);
  return nothing(env);
}
FUNCTION(read) {
  arguments a = arguments_of(env, info);
  memcpy(bytes_of(env, a.values[1]), (void *)a.n[0], a.n[2]);
  return nothing(env);
}
/* Address of a symbol of a library, or a text that says why there is none. Libraries stay loaded. */
FUNCTION(symbol) {
  arguments a = arguments_of(env, info);
  char path[4096], name[256];
  napi_get_value_string_utf8(env, a.values[0], path, sizeof path, NULL);
  napi_get_value_string_utf8(env, a.values[1], name, sizeof name, NULL);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void *address = library == NULL ? NULL : dlsym(library, name);
  if (address != NULL) return number(env, (int64_t)address);
  napi_value text = NULL;
  const char *reason = dlerror();
  napi_create_string_utf8(env, reason == NULL ? "unknown reason" : reason, (size_t)-1, &text);
  return text;
}
FUNCTION(run) {
  arguments a = arguments_of(env, info);
  run(a.n[0], a.n[1], a.n[2], a.n[3], a.n[4], a.n[5]);
  return nothing(env);
}

/* The same on a thread of the process's pool, so that the event loop goes on. */
typedef struct { arguments a; napi_deferred deferred; napi_async_work work; } later;
static void execute(napi_env env, void *data) {
  (void)env;
  const int64_t *n = ((later *)data)->a.n;
  run(n[0], n[1], n[2], n[3], n[4], n[5]);
}
static void complete(napi_env env, int status, void *data) {
  (void)status;
  later *l = data;
  napi_resolve_deferred(env, l->deferred, nothing(env));
  napi_delete_async_work(env, l->work);
  free(l);
}
FUNCTION(runLater) {
  napi_value promise = NULL, name = NULL;
  later *l = malloc(sizeof(later));
  if (l == NULL) return js_run(env, info);
  l->a = arguments_of(env, info);
  napi_create_promise(env, &l->deferred, &promise);
  napi_create_string_utf8(env, "juanji", (size_t)-1, &name);
  napi_create_async_work(env, NULL, name, execute, complete, l, &l->work);
  napi_queue_async_work(env, l->work);
  return promise;
}

static void add(napi_env env, napi_value exports, const char *name, callback *function) {
  napi_value value = NULL;
  napi_create_function(env, name, (size_t)-1, function, NULL, &value);
  napi_set_named_property(env, exports, name, value);
}

EXPORT int32_t node_api_module_get_api_version_v1(void) { return 8; }

EXPORT napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  /* Node unloads addons of a worker that ends; threads of a pool may still be on their way out of this code. */
  Dl_info self;
  if (dladdr((void *)&work, &self) != 0) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
#define ADD(name) add(env, exports, #name, js_##name)
  ADD(features), ADD(openPool), ADD(closePool), ADD(allocate), ADD(free), ADD(write), ADD(read), ADD(symbol), ADD(run), ADD(runLater);
  return exports;
}
`

/** What the addon exports. Addresses are numbers: no system hands out more than 2^53 bytes. */
export interface Runtime {
  /** Bits of `featureBits`. */
  features(): number
  /** Address of a pool of that many threads, the caller of `run` being the first; 0 where they cannot be had. */
  openPool(threads: number, spins: number): number
  closePool(pool: number): void
  /** Runs a table. One call at a time for each pool; with one thread the pool is left asleep. */
  run(pool: number, table: number, count: number, scratch: number, scratchBytes: number, threads: number): void
  runLater(
    pool: number,
    table: number,
    count: number,
    scratch: number,
    scratchBytes: number,
    threads: number,
  ): Promise<void>
  /** Address of memory aligned to 64 bytes, 0 where there is none. */
  allocate(bytes: number): number
  free(address: number, bytes: number): void
  write(address: number, from: Uint8Array, bytes: number): void
  read(address: number, to: Uint8Array, bytes: number): void
  /** Address of a symbol of a library, or why there is none. */
  symbol(path: string, name: string): number | string
}
