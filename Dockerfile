# One image for worker, beat, listen and web; compose.yaml chooses by the command.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/kommunpost \
 && /opt/kommunpost/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.lock
COPY . .
RUN /opt/kommunpost/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/kommunpost --create-home kommunpost
COPY --from=build /opt/kommunpost /opt/kommunpost
ENV PATH=/opt/kommunpost/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    KOMMUNPOST_DATA=/var/lib/kommunpost
USER 10001
WORKDIR /var/lib/kommunpost
ENTRYPOINT ["kommunpost"]
CMD ["--help"]
