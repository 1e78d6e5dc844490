/* What a product multiplies, in units of 32 bits: a float, or a pair of bf16, which a processor with instructions for it takes
 * whole and any other expands in registers. The instance may have defined PFM_PAIRED (see avx512/avx512_bf16_dot.c). */

#if !PFM_INSTANCE_BF16
typedef vf operand;
static ALWAYS_INLINE operand operand_load(const char *units) { return vf_load((const float *)(const void *)units); }
static ALWAYS_INLINE operand operand_broadcast(const char *unit) { return vf_set(*(const float *)(const void *)unit); }
static ALWAYS_INLINE operand operand_broadcast_half(const char *unit) { return vf_set(*(const float *)(const void *)unit); }
static ALWAYS_INLINE vf operand_dot(vf sum, operand a, operand b) { return vf_fma(a, b, sum); }
#else
static ALWAYS_INLINE vi broadcast_half(const char *unit)
{
    pfm_bf16 value;
    memcpy(&value, unit, sizeof value);
    return vi_set(value);
}
#if PFM_PAIRED
typedef vi operand;
static ALWAYS_INLINE operand operand_load(const char *units) { return vi_load(units); }
static ALWAYS_INLINE operand operand_broadcast(const char *unit) { return vi_broadcast(unit); }
static ALWAYS_INLINE operand operand_broadcast_half(const char *unit) { return broadcast_half(unit); }
static ALWAYS_INLINE vf operand_dot(vf sum, operand a, operand b) { return vf_dot_pairs(sum, a, b); }
#else
typedef struct operand {
    vf low, high;
} operand;
static ALWAYS_INLINE operand expand(vi pairs) { return (operand){vf_from_low(pairs), vf_from_high(pairs)}; }
static ALWAYS_INLINE operand operand_load(const char *units) { return expand(vi_load(units)); }
static ALWAYS_INLINE operand operand_broadcast(const char *unit) { return expand(vi_broadcast(unit)); }
static ALWAYS_INLINE operand operand_broadcast_half(const char *unit) { return expand(broadcast_half(unit)); }
static ALWAYS_INLINE vf operand_dot(vf sum, operand a, operand b) { return vf_fma(a.high, b.high, vf_fma(a.low, b.low, sum)); }
#endif
#endif
