#include "train/optimiser.h"

#include "kernels/kernels.h"

#include <math.h>

double pfm_learning_rate(const pfm_recipe *recipe, int64_t step, int64_t steps)
{
    double share_of = recipe->train.warmup_share;
    int64_t wanted = share_of > 0 ? (int64_t)ceil(share_of * (double)steps) : recipe->train.warmup_steps;
    int64_t warm = wanted < steps / 3 + 1 ? wanted : steps / 3 + 1;
    double high = recipe->train.learning_rate, low = recipe->train.minimum_learning_rate;
    double begin = recipe->train.warmup_learning_rate;
    if (step < warm)
        return begin + (high - begin) * (double)(step + 1) / (double)warm;
    double share = (double)(step - warm) / (double)(steps - warm > 1 ? steps - warm : 1);
    return low + (high - low) * 0.5 * (1 + cos(3.141592653589793 * share));
}

double pfm_gradient_norm(const pfm_parameters *parameters, const pfm_context *context)
{
    double sum = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (p->gradient != NULL)
            sum += context->kernels->sum_squares(p->gradient, (size_t)(p->n * p->k));
    }
    return sqrt(sum);
}

enum { VALUES_PER_ITEM = 1 << 15 };

typedef struct update {
    const pfm_context *context;
    pfm_parameter *parameter;
    pfm_adamw settings;
} update;

static void update_part(void *user, int item, int thread)
{
    (void)thread;
    const update *job = user;
    const pfm_parameter *p = job->parameter;
    int64_t begin = (int64_t)item * VALUES_PER_ITEM, left = p->n * p->k - begin;
    job->context->kernels->adamw(p->values + begin, p->gradient + begin, p->moment1 + begin, p->moment2 + begin,
                                 (size_t)(left < VALUES_PER_ITEM ? left : VALUES_PER_ITEM), &job->settings);
}

void pfm_adamw_step(pfm_parameters *parameters, const pfm_context *context, const pfm_recipe *recipe, int64_t step,
                    double learning_rate, double gradient_scale)
{
    update job = {.context = context,
                  .settings = {.learning_rate = (float)learning_rate,
                               .beta1 = (float)recipe->train.beta1,
                               .beta2 = (float)recipe->train.beta2,
                               .epsilon = (float)recipe->train.epsilon,
                               .correction1 = (float)(1 - pow(recipe->train.beta1, (double)(step + 1))),
                               .correction2 = (float)(1 - pow(recipe->train.beta2, (double)(step + 1))),
                               .gradient_scale = (float)gradient_scale}};
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        job.parameter = pfm_parameters_get(parameters, i);
        if (job.parameter->gradient == NULL)
            continue;
        job.settings.learning_rate = (float)(learning_rate * (job.parameter->rate > 0 ? job.parameter->rate : 1));
        job.settings.weight_decay = job.parameter->decays ? (float)recipe->train.weight_decay : 0;
        int64_t values = job.parameter->n * job.parameter->k;
        pfm_threads_run(context->threads, (int)((values + VALUES_PER_ITEM - 1) / VALUES_PER_ITEM), update_part, &job);
    }
}
