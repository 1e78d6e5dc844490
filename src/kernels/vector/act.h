/* The activations' type of an instance, on top of a level's vectors. The instance has defined PFM_INSTANCE_BF16 and NAME. */

#if PFM_INSTANCE_BF16
typedef pfm_bf16 act;
#define ACT_TYPE PFM_ACT_BF16
static ALWAYS_INLINE vf act_load(const act *x, size_t count) { return vf_load_bf16(x, count); }
static ALWAYS_INLINE void act_store(act *y, vf x, size_t count) { vf_store_bf16(y, x, count); }
#else
typedef float act;
#define ACT_TYPE PFM_ACT_F32
static ALWAYS_INLINE vf act_load(const act *x, size_t count) { return vf_load_part(x, count); }
static ALWAYS_INLINE void act_store(act *y, vf x, size_t count) { vf_store_part(y, x, count); }
#endif

/* The same for an array whose type is known only at run time. */
static ALWAYS_INLINE vf vf_load_any(const void *x, pfm_act_type type, size_t index, size_t count)
{
    return type == PFM_ACT_F32 ? vf_load_part((const float *)x + index, count)
                               : vf_load_bf16((const pfm_bf16 *)x + index, count);
}

static ALWAYS_INLINE void vf_store_any(void *y, pfm_act_type type, size_t index, vf x, size_t count)
{
    if (type == PFM_ACT_F32)
        vf_store_part((float *)y + index, x, count);
    else
        vf_store_bf16((pfm_bf16 *)y + index, x, count);
}
