/** What every printed kernel begins with: types, and the operations that C has no operator for. */
import type { NativeInstructions } from './target.ts'

const roundings = { floor: 1, ceil: 2, trunc: 3, round: 0 } as const
const armRoundings = { floor: 'frintm', ceil: 'frintp', trunc: 'frintz', round: 'frintn' } as const

/** One instruction on vectors where the machine has it; C would give several, or a loop over lanes. */
function vectorOperations(instructions: NativeInstructions): string {
  switch (instructions) {
    case 'avx512bf16':
    case 'avx512':
    case 'avx2': {
      const wide = instructions !== 'avx2'
      const rounding = wide ? 'vrndscaleps' : 'vroundps'
      const fma = wide
        ? '__builtin_ia32_vfmaddps512_mask((a), (b), (c), (short)-1, 4)'
        : '__builtin_ia32_vfmaddps256((a), (b), (c))'
      const x = wide ? 'v' : 'x'
      return [
        // The second operand of the instruction stays where the comparison is false: NaN in a.
        ...['min', 'max'].map(
          (name) =>
            `INLINE vf ${name}_vf(vf a, vf b) { vf r; __asm__("v${name}ps %1, %2, %0" : "=${x}"(r) : "${x}"(a), "${x}"(b)); return r; }`,
        ),
        `INLINE vf sqrt_v(vf a) { vf r; __asm__("vsqrtps %1, %0" : "=${x}"(r) : "${x}"(a)); return r; }`,
        ...Object.entries(roundings).map(
          ([name, mode]) =>
            `INLINE vf ${name}_v(vf a) { vf r; __asm__("${rounding} $${8 + mode}, %1, %0" : "=${x}"(r) : "${x}"(a)); return r; }`,
        ),
        `#define FMA_V(a, b, c) ${fma}`,
        // By name, so that compilers that know no type of bf16 have it too.
        'INLINE vf DOT2(vi a, vi b, vf c) { __asm__("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b)); return c; }',
      ].join('\n')
    }
    case 'neon':
      return [
        'INLINE vf min_vf(vf a, vf b) { return select_f((vi)(b < a), b, a); }',
        'INLINE vf max_vf(vf a, vf b) { return select_f((vi)(a < b), b, a); }',
        'INLINE vf sqrt_v(vf a) { vf r; __asm__("fsqrt %0.4s, %1.4s" : "=w"(r) : "w"(a)); return r; }',
        ...Object.entries(armRoundings).map(
          ([name, code]) =>
            `INLINE vf ${name}_v(vf a) { vf r; __asm__("${code} %0.4s, %1.4s" : "=w"(r) : "w"(a)); return r; }`,
        ),
        'INLINE vf FMA_V(vf a, vf b, vf c) { __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b)); return c; }',
      ].join('\n')
    case 'plain':
      return [
        'INLINE vf min_vf(vf a, vf b) { return select_f((vi)(b < a), b, a); }',
        'INLINE vf max_vf(vf a, vf b) { return select_f((vi)(a < b), b, a); }',
        ...['sqrt', ...Object.keys(roundings)].map(
          (name) => `INLINE vf ${name}_v(vf a) { for (int i = 0; i < LANES; i++) a[i] = ${name}_s(a[i]); return a; }`,
        ),
        'INLINE vf FMA_V(vf a, vf b, vf c) { return a * b + c; }',
      ].join('\n')
    default:
      return instructions satisfies never
  }
}

/** @param lanes of a vector @param instructions the printer may use */
export function prelude(lanes: number, instructions: NativeInstructions): string {
  const all = (text: (lane: number) => string) => Array.from({ length: lanes }, (_, lane) => text(lane)).join(', ')
  const reductions = (['f', 'i'] as const).map((kind) => {
    const type = kind === 'f' ? 'f32' : 'i32'
    const each = (step: string) =>
      `{ ${type} r = a[0]; for (int i = 1; i < LANES; i++) { const ${type} x = a[i]; r = ${step}; } return r; }`
    return [
      `INLINE ${type} add_lanes_${kind}(v${kind} a) ${each('r + x')}`,
      `INLINE ${type} min_lanes_${kind}(v${kind} a) ${each('x < r ? x : r')}`,
      `INLINE ${type} max_lanes_${kind}(v${kind} a) ${each('r < x ? x : r')}`,
    ].join('\n')
  })
  return `
#define LANES ${lanes}
#define EXPORT __attribute__((visibility("default")))
#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))
typedef float f32;
typedef int i32;
typedef unsigned u32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef f32 vf __attribute__((vector_size(4 * LANES)));
typedef i32 vi __attribute__((vector_size(4 * LANES)));
typedef u32 vu __attribute__((vector_size(4 * LANES)));
typedef u8 vb __attribute__((vector_size(LANES)));
typedef u16 vh __attribute__((vector_size(2 * LANES)));
typedef f32 vf_any __attribute__((vector_size(4 * LANES), aligned(4)));
typedef i32 vi_any __attribute__((vector_size(4 * LANES), aligned(4)));
typedef u8 vb_any __attribute__((vector_size(LANES), aligned(1)));
typedef u16 vh_any __attribute__((vector_size(2 * LANES), aligned(2)));
typedef union { i32 i; f32 f; } param;
typedef struct { char *const *b; const param *q; char *s; } context;
#define LOOP(n) for (i32 left = (n); left > 0; left--)
#define LOOP_ONCE(n) { i32 left = (n); do
#define LOOP_END while (--left > 0); }
#define LOOP_INDEX(i, n) for (i32 i = 0, end_##i = (n); i < end_##i; i++)
// x - 0 is x for every x, -0 and NaN too.
#define SPLAT_F(x) ((f32)(x) - (vf){})
#define SPLAT_I(x) ((i32)(x) - (vi){})
#define LANE_INDEX ((vi){${all(String)}})
#define LOAD_F(p) ((vf)*(const vf_any *)(p))
#define LOAD_I(p) ((vi)*(const vi_any *)(p))
#define LOAD_BYTES(p) __builtin_convertvector(*(const vb_any *)(p), vi)
#define STORE_F(p, v) (*(vf_any *)(p) = (v))
#define STORE_I(p, v) (*(vi_any *)(p) = (v))
#define STORE_BYTES(p, v) (*(vb_any *)(p) = __builtin_convertvector((v), vb))
INLINE vf select_f(vi m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }
INLINE vi select_i(vi m, vi a, vi b) { return (a & m) | (b & ~m); }
INLINE i32 bits_of(f32 x) { union { f32 f; i32 i; } u = {x}; return u.i; }
INLINE f32 float_of(i32 x) { union { i32 i; f32 f; } u = {x}; return u.f; }
// bf16: the upper half of an f32; rounded to nearest, ties to even, NaN stays NaN.
INLINE f32 from_half(u16 x) { return float_of((i32)((u32)x << 16)); }
INLINE u16 to_half(f32 x) { const u32 b = (u32)bits_of(x); return x != x ? (b >> 16) | 0x40 : (b + 0x7fff + ((b >> 16) & 1)) >> 16; }
#define LOAD_HALF(p) ((vf)(__builtin_convertvector(*(const vh_any *)(p), vu) << 16))
INLINE vu round_half(vf x) { const vu b = (vu)x; return (vu)select_i((vi)(x != x), (vi)((b >> 16) | 0x40), (vi)((b + 0x7fff + ((b >> 16) & 1)) >> 16)); }
#define STORE_HALF(p, v) (*(vh_any *)(p) = __builtin_convertvector(round_half(v), vh))
INLINE f32 min_f(f32 a, f32 b) { return b < a ? b : a; }
INLINE f32 max_f(f32 a, f32 b) { return a < b ? b : a; }
INLINE i32 min_i(i32 a, i32 b) { return b < a ? b : a; }
INLINE i32 max_i(i32 a, i32 b) { return a < b ? b : a; }
INLINE vi min_vi(vi a, vi b) { return select_i(b < a, b, a); }
INLINE vi max_vi(vi a, vi b) { return select_i(a < b, b, a); }
INLINE vi abs_i(vi a) { const vi s = a >> 31; return (a ^ s) - s; }
INLINE vf abs_v(vf a) { return (vf)((vi)a & SPLAT_I(0x7fffffff)); }
INLINE f32 abs_s(f32 a) { return __builtin_fabsf(a); }
INLINE f32 sqrt_s(f32 a) { return __builtin_sqrtf(a); }
INLINE f32 floor_s(f32 a) { return __builtin_floorf(a); }
INLINE f32 ceil_s(f32 a) { return __builtin_ceilf(a); }
INLINE f32 trunc_s(f32 a) { return __builtin_truncf(a); }
INLINE f32 round_s(f32 a) { return __builtin_rintf(a); }
INLINE f32 FMA(f32 a, f32 b, f32 c) { return ${instructions === 'plain' ? 'a * b + c' : '__builtin_fmaf(a, b, c)'}; }
// Saturates; NaN gives 0. The conversion itself is only asked for numbers that fit.
INLINE i32 truncate_s(f32 a) { return a >= 2147483648.0f ? 2147483647 : a >= -2147483648.0f ? (i32)a : a < 0.0f ? (-2147483647 - 1) : 0; }
INLINE vi truncate_v(vf a) {
  const vi high = (vi)(a >= SPLAT_F(2147483648.0f)), fits = (vi)(a >= SPLAT_F(-2147483648.0f)) & ~high, low = (vi)(a < SPLAT_F(-2147483648.0f));
  const vf inside = (vf)((vi)a & fits);
  return (__builtin_convertvector(inside, vi) & fits) | (high & SPLAT_I(2147483647)) | (low & SPLAT_I(-2147483647 - 1));
}
${vectorOperations(instructions)}
${reductions.join('\n')}
`
}
