/** Height and width in pixels. */
export interface Size {
  readonly height: number
  readonly width: number
}

/** A rectangle of pixels inside an image. */
export interface Box extends Size {
  readonly top: number
  readonly left: number
}
